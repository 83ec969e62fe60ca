internal import CProtobufC

/// The look at remote bytes before protobuf-c sees them. It has no bounds of its own: it recurses as deep as the bytes
/// say, allocates for each unknown field, and merges a repeated singular message in quadratic time.
enum WireScan {
  /// None of our messages nests deeper than 4, or grows by fields that it does not know except by a newer version.
  static let maximumDepth = 8
  static let maximumUnknownFields = 32
  static let maximumFields = 65_536

  /// Refuses bytes whose shape is wrong, or costs more to unpack than an honest message.
  static func check(_ bytes: UnsafeRawBufferPointer, as descriptor: UnsafePointer<ProtobufCMessageDescriptor>)
    throws(WireError)
  {
    var budget = Budget()
    try check(bytes, as: descriptor, depth: 0, budget: &budget)
  }

  private struct Budget {
    var unknown = maximumUnknownFields
    var fields = maximumFields
  }

  private static func check(
    _ bytes: UnsafeRawBufferPointer, as descriptor: UnsafePointer<ProtobufCMessageDescriptor>, depth: Int,
    budget: inout Budget
  ) throws(WireError) {
    guard depth < maximumDepth else { throw WireError("messages nested deeper than \(maximumDepth)") }
    var cursor = WireCursor(bytes)
    var seen: UInt64 = 0
    while !cursor.isAtEnd {
      let place = cursor.position
      let tag = try cursor.varint()
      guard tag >> 3 > 0, tag >> 3 < 1 << 29 else { throw WireError("a field numbered \(tag >> 3)", at: place) }
      budget.fields -= 1
      guard budget.fields >= 0 else { throw WireError("more than \(maximumFields) fields", at: place) }
      let number = UInt32(tag >> 3)
      guard let field = protobuf_c_message_descriptor_get_field(descriptor, number) else {
        budget.unknown -= 1
        guard budget.unknown >= 0 else {
          throw WireError("more than \(maximumUnknownFields) unknown fields", at: place)
        }
        try cursor.skipValue(wireType: tag & 7)
        continue
      }
      guard tag & 7 == 2 else {
        try cursor.skipValue(wireType: tag & 7)
        continue
      }
      let range = try cursor.delimited()
      guard field.pointee.type == PROTOBUF_C_TYPE_MESSAGE else { continue }
      if field.pointee.label != PROTOBUF_C_LABEL_REPEATED, number < 64 {
        guard seen & 1 << UInt64(number) == 0 else { throw WireError("message field \(number) twice", at: place) }
        seen |= 1 << UInt64(number)
      }
      guard let inner = field.pointee.descriptor?.assumingMemoryBound(to: ProtobufCMessageDescriptor.self) else {
        continue
      }
      try check(UnsafeRawBufferPointer(rebasing: bytes[range]), as: inner, depth: depth + 1, budget: &budget)
    }
  }
}
