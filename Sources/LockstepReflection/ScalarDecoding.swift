extension MessageDecoder {
  func scalar(_ field: FieldInfo, at place: UnsafeMutableRawPointer) throws(ReflectionError) -> JSONValue {
    switch field.type {
    case .int32, .sint32, .sfixed32: return JSONValue(place.load(as: Int32.self))
    case .uint32, .fixed32: return JSONValue(place.load(as: UInt32.self))
    // Readers that keep numbers as doubles would lose the lower bits of 64-bit integers, so these go as strings.
    case .int64, .sint64, .sfixed64: return .string(String(place.load(as: Int64.self)))
    case .uint64, .fixed64: return .string(String(place.load(as: UInt64.self)))
    case .double: return .floatingPoint(place.load(as: Double.self))
    case .float: return .floatingPoint(place.load(as: Float.self))
    case .bool: return .bool(place.load(as: Int32.self) != 0)
    case .enumeration: return enumeration(field, place.load(as: Int32.self))
    case .string: return .string(try text(at: place))
    case .bytes: return .string(Base64.encode(MessageMemory(base: place).bytes(at: place)))
    case .message: return .null
    }
  }

  func text(at place: UnsafeMutableRawPointer) throws(ReflectionError) -> String {
    guard let text = MessageMemory(base: place).text(at: place) else { throw failure("the string is not valid UTF-8") }
    return text
  }

  private func enumeration(_ field: FieldInfo, _ number: Int32) -> JSONValue {
    guard let position = field.enumeration else { return JSONValue(number) }
    if graph.enums[position].isNull { return .null }
    return graph.enums[position].name(numbered: number).map { .string($0) } ?? JSONValue(number)
  }

  func mapKey(_ field: FieldInfo, at place: UnsafeMutableRawPointer) throws(ReflectionError) -> MapKey {
    switch field.type {
    case .bool: .bool(place.load(as: Int32.self) != 0)
    case .int32, .sint32, .sfixed32: .signed(Int64(place.load(as: Int32.self)))
    case .int64, .sint64, .sfixed64: .signed(place.load(as: Int64.self))
    case .uint32, .fixed32: .unsigned(UInt64(place.load(as: UInt32.self)))
    case .uint64, .fixed64: .unsigned(place.load(as: UInt64.self))
    case .string: .text(ExactText(try text(at: place)))
    case .double, .float, .bytes, .enumeration, .message: throw failure("the type of the key is none that maps have")
    }
  }
}

/// The key of a map entry. One map has keys of one kind only.
enum MapKey: Hashable, Comparable {
  case bool(Bool)
  case signed(Int64)
  case unsigned(UInt64)
  case text(ExactText)

  var text: String {
    switch self {
    case .bool(let value): "\(value)"
    case .signed(let value): "\(value)"
    case .unsigned(let value): "\(value)"
    case .text(let value): value.text
    }
  }

  static func < (left: MapKey, right: MapKey) -> Bool {
    switch (left, right) {
    case (.bool(let left), .bool(let right)): !left && right
    case (.signed(let left), .signed(let right)): left < right
    case (.unsigned(let left), .unsigned(let right)): left < right
    case (.text(let left), .text(let right)): left < right
    case (.bool, _), (.signed, _), (.unsigned, _), (.text, _): left.text < right.text
    }
  }
}
