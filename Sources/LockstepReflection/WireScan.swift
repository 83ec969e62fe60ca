/// Walks over the bytes of a message before protobuf-c may unpack them.
///
/// protobuf-c has no bound on depth, merges repeated singular submessages in quadratic time, and allocates many times
/// the length of unknown fields. So this checks bounds, wire types and depth, refuses a singular submessage that comes
/// twice, and adds up what unpacking will allocate, in time linear in the length.
struct WireScan {
  private let layouts: [MessageLayout]
  private let bytes: UnsafeRawBufferPointer
  private let memoryLimit: Int
  private var memory = 0
  private let root: String

  private init(
    _ bytes: UnsafeRawBufferPointer, as position: Int, of table: DescriptorTable, memoryLimit: Int
  ) {
    self.layouts = table.layouts
    self.bytes = bytes
    self.memoryLimit = memoryLimit
    self.root = table.layouts[position].name
  }

  static func check(
    _ bytes: UnsafeRawBufferPointer, as position: Int, of table: DescriptorTable, memoryLimit: Int
  ) throws(ReflectionError) {
    var scan = WireScan(bytes, as: position, of: table, memoryLimit: memoryLimit)
    try scan.message(0..<bytes.count, as: position, depth: 1)
  }

  private func failure(_ what: String, at offset: Int) -> ReflectionError {
    ReflectionError(.bytes, "these bytes are no \(root): at byte \(offset), \(what)")
  }

  private mutating func message(_ range: Range<Int>, as position: Int, depth: Int) throws(ReflectionError) {
    let layout = layouts[position]
    guard depth <= ReflectionLimits.depth else {
      throw failure("messages are nested more than \(ReflectionLimits.depth) deep", at: range.lowerBound)
    }
    try spend(layout.cost, at: range.lowerBound)
    var singularMessages: Set<UInt32> = []
    var offset = range.lowerBound
    while offset < range.upperBound {
      let start = offset
      let key = try varint(&offset, range.upperBound)
      guard let number = UInt32(exactly: key >> 3), (1...UInt32(1 << 29 - 1)).contains(number), offset - start <= 5
      else { throw failure("\(key >> 3) is no field number", at: start) }
      guard let wireType = WireType(rawValue: UInt8(key & 7)) else {
        throw failure("field \(number) has wire type \(key & 7), which is not supported", at: start)
      }
      let content = try value(of: wireType, number, &offset, range.upperBound)
      // protobuf-c notes every field in 32 bytes, in blocks that double in size.
      try spend(64, at: start)
      guard let shape = layout.slot(numbered: number)?.shape else {
        try spend(32 + 32 + offset - start, at: start)
        continue
      }
      if shape.type == .message, shape.cardinality != .repeated, !singularMessages.insert(number).inserted {
        throw failure("field '\(shape.name)' of \(layout.name) comes twice, but is not repeated", at: start)
      }
      try known(shape, in: layout.name, wireType, content, at: start, depth: depth)
    }
  }

  /// Checks a field that the schema has.
  private mutating func known(
    _ shape: MessageShape.FieldShape, in message: String, _ wireType: WireType, _ content: Range<Int>, at start: Int,
    depth: Int
  ) throws(ReflectionError) {
    let isRepeated = shape.cardinality == .repeated || shape.cardinality == .packed
    if wireType == .lengthDelimited, isRepeated, shape.type.isPackable {
      try packed(shape, in: message, content)
      return
    }
    guard wireType == shape.type.wireType else {
      let text = "field '\(shape.name)' of \(message) has wire type \(wireType.rawValue), which does not fit its type"
      throw failure(text, at: start)
    }
    if isRepeated { try spend(shape.type.stride, at: start) }
    switch shape.type {
    case .message:
      if let child = shape.message { try self.message(content, as: child, depth: depth + 1) }
    case .string, .bytes:
      try spend(16 + content.count, at: start)
    case .double, .float, .int64, .uint64, .int32, .fixed64, .fixed32, .bool, .uint32, .enumeration, .sfixed32,
      .sfixed64, .sint32, .sint64:
      break
    }
  }

  private mutating func packed(
    _ shape: MessageShape.FieldShape, in message: String, _ content: Range<Int>
  ) throws(ReflectionError) {
    var offset = content.lowerBound
    while offset < content.upperBound {
      let start = offset
      let element = try value(of: shape.type.wireType, shape.number, &offset, content.upperBound)
      // protobuf-c reads packed bools as one byte each, whatever their length.
      if shape.type == .bool, element.count != 1 || bytes[element.lowerBound] > 1 {
        throw failure("field '\(shape.name)' of \(message) holds a bool that is neither 0 nor 1", at: start)
      }
      try spend(shape.type.stride, at: start)
    }
  }

  /// Steps over a value and gives the place of its content.
  private func value(
    of wireType: WireType, _ number: UInt32, _ offset: inout Int, _ end: Int
  ) throws(ReflectionError) -> Range<Int> {
    let start = offset
    let size: Int
    switch wireType {
    case .varint:
      _ = try varint(&offset, end)
      return start..<offset
    case .fixed64:
      size = 8
    case .fixed32:
      size = 4
    case .lengthDelimited:
      let length = try varint(&offset, end)
      guard offset - start <= 5, let length = Int(exactly: length) else {
        throw failure("field \(number) claims a length of \(length)", at: start)
      }
      size = length
    }
    guard size <= end - offset else {
      throw failure("field \(number) needs \(size) bytes, but \(end - offset) are left", at: start)
    }
    defer { offset += size }
    return offset..<offset + size
  }

  private func varint(_ offset: inout Int, _ end: Int) throws(ReflectionError) -> UInt64 {
    let start = offset
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard offset < end else { throw failure("a number is cut short", at: start) }
      let byte = bytes[offset]
      offset += 1
      // Bits beyond the 64th fall away, as in every reader of the format.
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
    }
    throw failure("a number has more than ten bytes", at: start)
  }

  private mutating func spend(_ size: Int, at offset: Int) throws(ReflectionError) {
    memory += size
    guard memory <= memoryLimit else {
      throw failure("the message needs more than the \(memoryLimit) bytes of memory allowed for it", at: offset)
    }
  }
}
