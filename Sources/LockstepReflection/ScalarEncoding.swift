extension MessageEncoder {
  func writeScalar(
    _ json: JSONValue, of field: FieldInfo, at place: UnsafeMutableRawPointer
  ) throws(ReflectionError) {
    switch field.type {
    case .int32, .sint32, .sfixed32:
      place.storeBytes(of: try integer(json, field), as: Int32.self)
    case .int64, .sint64, .sfixed64:
      place.storeBytes(of: try integer(json, field), as: Int64.self)
    case .uint32, .fixed32:
      place.storeBytes(of: try integer(json, field), as: UInt32.self)
    case .uint64, .fixed64:
      place.storeBytes(of: try integer(json, field), as: UInt64.self)
    case .double:
      place.storeBytes(of: try floatingPoint(json, field), as: Double.self)
    case .float:
      place.storeBytes(of: try floatingPoint(json, field), as: Float.self)
    case .bool:
      guard case .bool(let value) = json else { throw mismatch("a bool", json) }
      place.storeBytes(of: value ? 1 : 0, as: Int32.self)
    case .enumeration:
      place.storeBytes(of: try enumeration(json, field), as: Int32.self)
    case .string:
      guard case .string(let text) = json else { throw mismatch("a string", json) }
      try arena.store(text.utf8, at: place)
    case .bytes:
      guard case .string(let text) = json else { throw mismatch("bytes as a base64 string", json) }
      guard let bytes = Base64.decode(text) else { throw mismatch("bytes as a base64 string", json) }
      try arena.store(bytes, at: place)
    case .message:
      throw mismatch("a message", json)
    }
  }

  private func expected(_ field: FieldInfo) -> String {
    ("aeio".contains(field.type.keyword.prefix(1)) ? "an " : "a ") + field.type.keyword
  }

  /// A number, or a string of one: which of the two is written tells 64-bit integers apart from others, but both are
  /// read for all.
  private func integer<Value: FixedWidthInteger>(
    _ json: JSONValue, _ field: FieldInfo
  ) throws(ReflectionError) -> Value {
    switch json {
    case .number(let literal), .string(let literal):
      switch parseInteger(literal, as: Value.self) {
      case .success(let value): return value
      case .failure(.outOfRange):
        throw failure("\(printable(literal, limit: 40)) is out of range for \(field.type.keyword)")
      case .failure(.notANumber), .failure(.notWhole): throw mismatch(expected(field), json)
      }
    case .null, .bool, .array, .object:
      throw mismatch(expected(field), json)
    }
  }

  private func floatingPoint<Value: BinaryFloatingPoint & LosslessStringConvertible>(
    _ json: JSONValue, _ field: FieldInfo
  ) throws(ReflectionError) -> Value {
    let literal: String
    switch json {
    case .string("NaN"): return .nan
    case .string("Infinity"): return .infinity
    case .string("-Infinity"): return -.infinity
    case .number(let text), .string(let text): literal = text
    case .null, .bool, .array, .object: throw mismatch(expected(field), json)
    }
    // Swift reads more than JSON has, for example hexadecimal.
    guard let decimal = DecimalLiteral(literal), let value = Value(literal) else {
      throw mismatch(expected(field), json)
    }
    guard value.isFinite else {
      throw failure("\(printable(literal, limit: 40)) is out of range for \(field.type.keyword)")
    }
    return value == 0 && decimal.isNegative ? -Value.zero : value
  }

  private func enumeration(_ json: JSONValue, _ field: FieldInfo) throws(ReflectionError) -> Int32 {
    guard let position = field.enumeration else { throw mismatch("an enum", json) }
    let info = graph.enums[position]
    switch json {
    case .null where info.isNull:
      return 0
    case .number:
      return try integer(json, field)
    case .string(let name):
      if let number = info.number(named: name) { return number }
      let names = info.schema.values.map(\.name)
      throw failure(
        "enum \(info.schema.fullName) has no value '\(printable(name, limit: 80))'; it has \(list(names))"
          + suggestion(for: name, among: names))
    case .null, .bool, .array, .object:
      throw mismatch("the name or number of a value of enum \(info.schema.fullName)", json)
    }
  }
}
