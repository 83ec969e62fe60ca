internal import CLockstepWire
internal import CProtobufC

/// Packs messages into one buffer that is used again and again, and unpacks through one arena. One for each loop.
package final class Codec {
  /// The message packed last; overwritten by the next.
  package private(set) var packed: [UInt8] = []
  private let arena: Arena
  private let nothing = [UInt8](repeating: 0, count: 512)
  let maximumMessage: Int

  /// `maximumMessage`: bytes of the largest message that will be unpacked; larger ones are refused.
  package init(maximumMessage: Int) {
    self.maximumMessage = maximumMessage
    // Our messages hold their bytes in a few fields: twice the message and something for the rest is ample.
    arena = Arena(capacity: 2 * maximumMessage + 64 * 1024)
  }

  /// Packs a message whose first member is a ProtobufCMessage.
  func pack<Message>(_ message: inout Message) {
    withUnsafePointer(to: &message) { pointer in
      pointer.withMemoryRebound(to: ProtobufCMessage.self, capacity: 1) { base in
        let size = protobuf_c_message_get_packed_size(base)
        resize(to: size)
        packed.withUnsafeMutableBufferPointer { _ = protobuf_c_message_pack(base, $0.baseAddress) }
      }
    }
  }

  /// Writes a message of at most `size` bytes; `body` returns how many it has written.
  func overwrite(upTo size: Int, _ body: (UnsafeMutableRawPointer) -> Int) {
    if packed.count < size { resize(to: size) }
    let written = packed.withUnsafeMutableBytes { body($0.baseAddress.unsafelyUnwrapped) }
    packed.removeLast(packed.count - written)
  }

  /// All bytes are about to be overwritten: only those that are new are written before that.
  private func resize(to size: Int) {
    if packed.count > size {
      packed.removeLast(packed.count - size)
    } else if packed.count < size {
      let more = size - packed.count
      guard more > nothing.count else {
        // In one piece: this is done for every reply.
        nothing.withUnsafeBufferPointer { packed.append(contentsOf: UnsafeBufferPointer(rebasing: $0[..<more])) }
        return
      }
      packed.append(contentsOf: repeatElement(0, count: more))
    }
  }

  /// Scans, then unpacks into the arena; the message is valid inside `body` only.
  func unpack<Message, Result>(
    _ bytes: UnsafeRawBufferPointer, as descriptor: UnsafePointer<ProtobufCMessageDescriptor>, _: Message.Type,
    _ body: (Message) throws(WireError) -> Result
  ) throws(WireError) -> Result {
    guard bytes.count <= maximumMessage else {
      throw WireError("a message of \(bytes.count) bytes, more than \(maximumMessage)")
    }
    try WireScan.check(bytes, as: descriptor)
    arena.reset()
    // protobuf-c takes no null pointer, not even for nothing.
    var nothing: UInt8 = 0
    let message = withUnsafePointer(to: &nothing) { empty in
      arena.withAllocator { allocator in
        protobuf_c_message_unpack(
          descriptor, allocator, bytes.count, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? empty)
      }
    }
    guard let message else { throw WireError("bytes that are no \(String(cString: descriptor.pointee.name))") }
    return try message.withMemoryRebound(to: Message.self, capacity: 1) { (typed) throws(WireError) -> Result in
      try body(typed.pointee)
    }
  }
}

extension ProtobufCBinaryData {
  /// Borrowed: valid as long as the message is.
  var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: data, count: len) }
  var array: [UInt8] { [UInt8](buffer) }
  var text: String { String(decoding: buffer, as: UTF8.self) }
}

/// Calls `body` with the bytes as protobuf-c's, valid inside only.
func withProtobufBytes<Result>(_ bytes: [UInt8], _ body: (ProtobufCBinaryData) -> Result) -> Result {
  bytes.withUnsafeBytes { body($0.asProtobufBytes) }
}

/// Calls `body` with the text as a C string that protobuf-c may point to, valid inside only. Protobuf-c ends strings at
/// a NUL, so one inside the text would cut it short: it is written as a space.
func withProtobufString<Result>(_ text: String, _ body: (UnsafeMutablePointer<CChar>) -> Result) -> Result {
  var bytes = text.utf8.map { CChar(bitPattern: $0 == 0 ? 32 : $0) }
  bytes.append(0)
  return bytes.withUnsafeMutableBufferPointer { body($0.baseAddress.unsafelyUnwrapped) }
}
