/// A message as a tree, so that what is inside can be changed and all lengths around it still fit.
final class WireTree {
  enum Content {
    case number(UInt64)
    case bytes([UInt8])
    case fields([WireTree])
  }

  var field: UInt64
  var content: Content

  init(_ field: UInt64, _ content: Content) {
    self.field = field
    self.content = content
  }

  /// What looks like a message is taken for one.
  convenience init(_ field: UInt64, _ bytes: ArraySlice<UInt8>) {
    self.init(field, Self.fields(bytes).map { .fields($0) } ?? .bytes(Array(bytes)))
  }

  private static func fields(_ bytes: ArraySlice<UInt8>) -> [WireTree]? {
    var (rest, fields): (ArraySlice<UInt8>, [WireTree]) = (bytes, [])
    while !rest.isEmpty {
      guard let key = varint(&rest), key >> 3 > 0, let value = varint(&rest) else { return nil }
      switch key & 7 {
      case 0: fields.append(WireTree(key >> 3, .number(value)))
      case 2 where value <= UInt64(rest.count):
        fields.append(WireTree(key >> 3, rest.prefix(Int(value))))
        rest = rest.dropFirst(Int(value))
      default: return nil
      }
    }
    return fields.isEmpty ? nil : fields
  }

  private static func varint(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = rest.popFirst() else { return nil }
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
    }
    return nil
  }

  var copy: WireTree {
    guard case .fields(let fields) = content else { return WireTree(field, content) }
    return WireTree(field, .fields(fields.map(\.copy)))
  }

  /// Adds this and all inside to a list, in order.
  private func gather(_ nodes: inout [WireTree]) {
    nodes.append(self)
    guard case .fields(let fields) = content else { return }
    for field in fields { field.gather(&nodes) }
  }

  /// Without its own field number and length.
  var bytes: [UInt8] {
    switch content {
    case .number(let value): Protobuf.varint(value)
    case .bytes(let bytes): bytes
    case .fields(let fields):
      fields.reduce(Protobuf()) { message, field in
        guard case .number(let value) = field.content else { return message.bytes(field.field, field.bytes) }
        return message.integer(field.field, value)
      }.bytes
    }
  }

  /// Changes something inside, as the bytes of an input say.
  func edit(_ input: inout FuzzInput) {
    var nodes: [WireTree] = []
    gather(&nodes)
    // Copies of copies grow fast.
    guard nodes.count < 500 else { return }
    let (node, verb) = (nodes[Int(input.byte()) % nodes.count], input.byte() % 6)
    switch verb {
    case 0: node.content = .number(UInt64(input.byte()))
    case 1: node.content = .number(UInt64(input.number(UInt32.self)))
    case 2: node.content = .bytes([UInt8](input.take(Int(input.byte()))))
    case 3: node.field = UInt64(max(1, input.byte()))
    case 4: node.content = nodes[Int(input.byte()) % nodes.count].copy.content
    default:
      guard case .fields(let fields) = node.content else { return }
      // One more inside, or one less.
      let place = Int(input.byte())
      let other = nodes[Int(input.byte()) % nodes.count]
      if place < fields.count {
        node.content = .fields(Array(fields[..<place] + fields[(place + 1)...]))
      } else {
        node.content = .fields(fields + [other.copy])
      }
    }
  }
}
