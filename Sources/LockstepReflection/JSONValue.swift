/// A JSON value. Objects keep their order, and numbers keep their literal: a 64-bit integer survives, which it would
/// not as a `Double`.
package enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  /// The literal as it stands in the text, for example `-12`, `1.50` or `1e3`.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([Member])

  package struct Member: Equatable, Sendable {
    package var key: String
    package var value: JSONValue

    package init(key: String, value: JSONValue) {
      self.key = key
      self.value = value
    }
  }
}

extension JSONValue {
  /// A number, written in decimal.
  package init(_ value: some BinaryInteger) { self = .number(String(value)) }

  /// A number in its shortest form that reads back as the same value; a string for NaN and the infinities, which JSON
  /// has no numbers for.
  package init(_ value: Double) { self = .floatingPoint(value) }

  package init(_ value: Bool) { self = .bool(value) }

  package init(_ value: String) { self = .string(value) }

  static func floatingPoint(_ value: some BinaryFloatingPoint & LosslessStringConvertible) -> JSONValue {
    if value.isNaN { return .string("NaN") }
    if value.isInfinite { return .string(value < 0 ? "-Infinity" : "Infinity") }
    let text = value.description
    return .number(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
  }

  /// Members of the object in the order given.
  package static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
    .object(members.map { Member(key: $0.key, value: $0.value) })
  }
}

extension JSONValue {
  /// The member of that name. Setting replaces it in place or appends it; setting `nil` removes it. A value that is no
  /// object has no members, and becomes an object when one is set.
  package subscript(key: String) -> JSONValue? {
    get {
      guard case .object(let members) = self else { return nil }
      return members.first { $0.key.isSameText(as: key) }?.value
    }
    set {
      var members = self.object ?? []
      let position = members.firstIndex { $0.key.isSameText(as: key) }
      switch (position, newValue) {
      case (let position?, let value?): members[position].value = value
      case (let position?, nil): members.remove(at: position)
      case (nil, let value?): members.append(Member(key: key, value: value))
      case (nil, nil): return
      }
      self = .object(members)
    }
  }

  /// The element at that position, if this is an array that has one.
  package subscript(index: Int) -> JSONValue? {
    guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
    return elements[index]
  }

  package var isNull: Bool { self == .null }

  package var bool: Bool? {
    guard case .bool(let value) = self else { return nil }
    return value
  }

  package var string: String? {
    guard case .string(let value) = self else { return nil }
    return value
  }

  package var array: [JSONValue]? {
    guard case .array(let value) = self else { return nil }
    return value
  }

  package var object: [Member]? {
    guard case .object(let value) = self else { return nil }
    return value
  }

  /// A number that is a whole one in range, or a string of such a number, as proto3 JSON writes 64-bit integers.
  package var int: Int? { integer() }

  /// As `int`, for the upper half of the unsigned range too.
  package var uint64: UInt64? { integer() }

  package var double: Double? {
    guard case .number(let literal) = self else { return nil }
    return Double(literal)
  }

  private func integer<Value: FixedWidthInteger>() -> Value? {
    switch self {
    case .number(let literal), .string(let literal):
      guard case .success(let value) = parseInteger(literal, as: Value.self) else { return nil }
      return value
    case .null, .bool, .array, .object:
      return nil
    }
  }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByStringInterpolation, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  package init(nilLiteral: ()) { self = .null }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(integerLiteral value: Int) { self.init(value) }
  package init(floatLiteral value: Double) { self.init(value) }
  package init(stringLiteral value: String) { self = .string(value) }
  package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(elements.map { Member(key: $0.0, value: $0.1) })
  }
}

extension String {
  /// Swift compares strings by canonical equivalence; JSON keys and protobuf strings are the same only when their
  /// bytes are.
  func isSameText(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}

/// A string that is hashed and compared by its bytes, for keys of sets and dictionaries.
struct ExactText: Hashable, Comparable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (left: ExactText, right: ExactText) -> Bool { left.text.isSameText(as: right.text) }

  static func < (left: ExactText, right: ExactText) -> Bool {
    left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }

  func hash(into hasher: inout Hasher) {
    for byte in text.utf8 { hasher.combine(byte) }
    hasher.combine(0xFF as UInt8)
  }
}
