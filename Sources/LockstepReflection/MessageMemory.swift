import CProtobufC

/// A message in memory, as its layout says. The memory belongs to an arena, which must outlive this.
struct MessageMemory {
  let base: UnsafeMutableRawPointer

  /// The value of a singular field or a oneof.
  func value(_ slot: FieldSlot) -> UnsafeMutableRawPointer { base + slot.offset }

  /// Whether a singular field was on the wire, or a oneof has this member.
  func has(_ slot: FieldSlot) -> Bool {
    switch slot.shape.cardinality {
    case .singular where slot.shape.type == .message:
      return submessage(at: value(slot)) != nil
    case .singular:
      return base.load(fromByteOffset: slot.quantifier, as: Int32.self) != 0
    case .oneof:
      return base.load(fromByteOffset: slot.quantifier, as: UInt32.self) == slot.shape.number
    case .repeated, .packed:
      return count(slot) > 0
    }
  }

  func setPresent(_ slot: FieldSlot) {
    switch slot.shape.cardinality {
    case .singular where slot.shape.type == .message:
      break
    case .singular:
      base.storeBytes(of: 1, toByteOffset: slot.quantifier, as: Int32.self)
    case .oneof:
      base.storeBytes(of: slot.shape.number, toByteOffset: slot.quantifier, as: UInt32.self)
    case .repeated, .packed:
      break
    }
  }

  func count(_ slot: FieldSlot) -> Int { base.load(fromByteOffset: slot.quantifier, as: Int.self) }

  /// The values of a repeated field, each `stride` of its type apart.
  func elements(_ slot: FieldSlot) -> [UnsafeMutableRawPointer] {
    guard let array = value(slot).load(as: UnsafeMutableRawPointer?.self) else { return [] }
    let stride = slot.shape.type.stride
    return (0..<count(slot)).map { array + $0 * stride }
  }

  func setElements(_ slot: FieldSlot, _ array: UnsafeMutableRawPointer, count: Int) {
    value(slot).storeBytes(of: array, as: UnsafeMutableRawPointer.self)
    base.storeBytes(of: count, toByteOffset: slot.quantifier, as: Int.self)
  }

  func submessage(at place: UnsafeMutableRawPointer) -> MessageMemory? {
    place.load(as: UnsafeMutableRawPointer?.self).map(MessageMemory.init(base:))
  }

  /// The bytes of a string or bytes value.
  func bytes(at place: UnsafeMutableRawPointer) -> UnsafeRawBufferPointer {
    let data = place.load(as: ProtobufCBinaryData.self)
    return UnsafeRawBufferPointer(start: data.data, count: data.data == nil ? 0 : data.len)
  }

  /// The text of a string value; `nil` when it is not UTF-8.
  func text(at place: UnsafeMutableRawPointer) -> String? { String(validating: bytes(at: place), as: UTF8.self) }
}

extension Arena {
  /// An empty message.
  func message(_ layout: MessageLayout) throws(ReflectionError) -> MessageMemory {
    let base = UnsafeMutableRawPointer(try array(of: UInt8.self, count: layout.size))
    base.storeBytes(of: layout.descriptor, as: UnsafePointer<ProtobufCMessageDescriptor>.self)
    return MessageMemory(base: base)
  }

  /// Copies the bytes, for a value of type string or bytes.
  func store(_ bytes: some Collection<UInt8>, at place: UnsafeMutableRawPointer) throws(ReflectionError) {
    guard !bytes.isEmpty else { return }
    let copy = try array(of: UInt8.self, count: bytes.count)
    _ = UnsafeMutableBufferPointer(start: copy, count: bytes.count).update(fromContentsOf: bytes)
    place.storeBytes(of: ProtobufCBinaryData(len: bytes.count, data: copy), as: ProtobufCBinaryData.self)
  }
}
