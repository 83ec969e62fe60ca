import CProtobufC

/// What protobuf-c needs to know of a message type: names and numbers, no JSON and no text.
struct MessageShape: Sendable {
  var name: String
  var fields: [FieldShape]

  struct FieldShape: Sendable {
    enum Cardinality: Sendable, Equatable {
      case singular
      /// A member of the oneof of that number.
      case oneof(Int)
      case repeated
      case packed
    }

    var name: String
    var number: UInt32
    var type: FieldType
    var cardinality: Cardinality = .singular
    /// For messages: the position of their shape.
    var message: Int?
  }
}

/// Where a field lies in the memory of a message.
struct FieldSlot: Sendable {
  let shape: MessageShape.FieldShape
  let offset: Int
  /// A singular field's presence flag, a repeated field's count, or a oneof's case. 0 for singular messages: their
  /// pointer says it.
  let quantifier: Int
}

/// A message type as built for protobuf-c.
struct MessageLayout {
  let name: String
  let descriptor: UnsafePointer<ProtobufCMessageDescriptor>
  let size: Int
  /// Sorted by field number.
  let slots: [FieldSlot]

  /// What a message counts for against the limit on memory. Fields count beside their space, because every message is
  /// walked field by field, and the members of a oneof, however many, share one place.
  var cost: Int { size + 8 * slots.count }

  func slot(numbered number: UInt32) -> FieldSlot? {
    var range = 0..<slots.count
    while !range.isEmpty {
      let middle = range.lowerBound + range.count / 2
      if slots[middle].shape.number == number { return slots[middle] }
      range =
        slots[middle].shape.number < number ? middle + 1..<range.upperBound : range.lowerBound..<middle
    }
    return nil
  }
}

/// protobuf-c descriptors built at run time, and the memory they live in.
///
/// A message lies in memory as: 24 bytes of header (`ProtobufCMessage`); then, eight bytes aligned, values, with count
/// and pointer for a repeated field, and 16 bytes for each oneof, which its members share; then 4 bytes for each
/// presence flag and oneof case.
///
/// `@unchecked Sendable`: the memory is written in `init` alone, and only read from then on.
final class DescriptorTable: @unchecked Sendable {
  let layouts: [MessageLayout]
  private let arena: Arena

  init(_ shapes: [MessageShape]) throws(ReflectionError) {
    let arena = Arena(limit: .max, for: .schema)
    let descriptors = try arena.array(of: ProtobufCMessageDescriptor.self, count: shapes.count)
    var layouts: [MessageLayout] = []
    layouts.reserveCapacity(shapes.count)
    for (position, shape) in shapes.enumerated() {
      let (slots, size) = Self.layOut(shape)
      let pointer = descriptors + position
      pointer.pointee = try Self.describe(shape.name, slots, size, descriptors, arena)
      layouts.append(MessageLayout(name: shape.name, descriptor: UnsafePointer(pointer), size: size, slots: slots))
    }
    self.layouts = layouts
    self.arena = arena
  }

  private static func layOut(_ shape: MessageShape) -> (slots: [FieldSlot], size: Int) {
    var end = MemoryLayout<ProtobufCMessage>.stride
    func reserve(_ size: Int) -> Int {
      defer { end += size }
      return end
    }
    let fields = shape.fields.sorted { $0.number < $1.number }
    var unions: [Int: Int] = [:]
    let offsets = fields.map { field in
      switch field.cardinality {
      case .singular:
        return reserve(max(field.type.stride, 8))
      case .repeated, .packed:
        // The count stands behind the pointer.
        return reserve(16)
      case .oneof(let index):
        // protobuf-c clears the old member when a new one arrives, in the new one's place: so they must share it.
        let place = unions[index] ?? reserve(16)
        unions[index] = place
        return place
      }
    }
    var cases: [Int: Int] = [:]
    let slots = zip(fields, offsets).map { field, offset in
      let quantifier: Int
      switch field.cardinality {
      case .singular:
        quantifier = field.type == .message ? 0 : reserve(4)
      case .repeated, .packed:
        quantifier = offset + 8
      case .oneof(let index):
        quantifier = cases[index] ?? reserve(4)
        cases[index] = quantifier
      }
      return FieldSlot(shape: field, offset: offset, quantifier: quantifier)
    }
    return (slots, (end + 7) & ~7)
  }

  private static func describe(
    _ name: String, _ slots: [FieldSlot], _ size: Int,
    _ descriptors: UnsafeMutablePointer<ProtobufCMessageDescriptor>, _ arena: Arena
  ) throws(ReflectionError) -> ProtobufCMessageDescriptor {
    var descriptor = ProtobufCMessageDescriptor()
    descriptor.magic = UInt32(PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC)
    descriptor.name = try arena.text(name)
    descriptor.short_name = descriptor.name
    descriptor.c_name = descriptor.name
    descriptor.package_name = try arena.text("")
    descriptor.sizeof_message = size
    // Without `message_init`, protobuf-c clears the message by itself. Without fields, all pointers must stay nil:
    // unpacking looks at the first field before it looks at their number.
    guard !slots.isEmpty else { return descriptor }
    descriptor.n_fields = UInt32(slots.count)
    let fields = try arena.array(of: ProtobufCFieldDescriptor.self, count: slots.count)
    for (position, slot) in slots.enumerated() {
      fields[position] = try describe(slot, descriptors, arena)
    }
    descriptor.fields = UnsafePointer(fields)
    let byName = try arena.array(of: UInt32.self, count: slots.count)
    let order = slots.indices.sorted { ExactText(slots[$0].shape.name) < ExactText(slots[$1].shape.name) }
    for (place, position) in order.enumerated() { byName[place] = UInt32(position) }
    descriptor.fields_sorted_by_name = UnsafePointer(byName)
    // A range is a run of consecutive field numbers; one more entry ends the list.
    let numbers = slots.map { $0.shape.number }
    let starts = numbers.indices.filter { $0 == 0 || numbers[$0] != numbers[$0 - 1] + 1 }
    let ranges = try arena.array(of: ProtobufCIntRange.self, count: starts.count + 1)
    for (place, position) in starts.enumerated() {
      ranges[place] = ProtobufCIntRange(start_value: Int32(numbers[position]), orig_index: UInt32(position))
    }
    ranges[starts.count] = ProtobufCIntRange(start_value: 0, orig_index: UInt32(slots.count))
    descriptor.field_ranges = UnsafePointer(ranges)
    descriptor.n_field_ranges = UInt32(starts.count)
    return descriptor
  }

  private static func describe(
    _ slot: FieldSlot, _ descriptors: UnsafeMutablePointer<ProtobufCMessageDescriptor>, _ arena: Arena
  ) throws(ReflectionError) -> ProtobufCFieldDescriptor {
    var field = ProtobufCFieldDescriptor()
    field.name = try arena.text(slot.shape.name)
    field.id = slot.shape.number
    field.type = slot.shape.type.inC
    field.offset = UInt32(slot.offset)
    field.quantifier_offset = UInt32(slot.quantifier)
    if let message = slot.shape.message { field.descriptor = UnsafeRawPointer(descriptors + message) }
    // Every singular field is told as optional, also those without presence: whether a value is the default, and must
    // not be written, is decided by the encoder, which knows a negative zero.
    field.label = PROTOBUF_C_LABEL_OPTIONAL
    switch slot.shape.cardinality {
    case .singular:
      break
    case .oneof:
      field.flags = PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue
    case .repeated:
      field.label = PROTOBUF_C_LABEL_REPEATED
    case .packed:
      field.label = PROTOBUF_C_LABEL_REPEATED
      field.flags = PROTOBUF_C_FIELD_FLAG_PACKED.rawValue
    }
    return field
  }
}

extension Arena {
  fileprivate func text(_ text: String) throws(ReflectionError) -> UnsafePointer<CChar> {
    let bytes = Array(text.utf8)
    let copy = try array(of: CChar.self, count: bytes.count + 1)
    for (position, byte) in bytes.enumerated() { copy[position] = CChar(bitPattern: byte) }
    return UnsafePointer(copy)
  }
}
