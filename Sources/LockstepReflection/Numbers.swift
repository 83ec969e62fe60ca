/// Why a literal is no integer of some type.
enum IntegerError: Error {
  case notANumber
  case notWhole
  case outOfRange
}

/// The exact value of a JSON number literal. Fractions and exponents are fine when the value is whole (`5.0`, `1e3`),
/// as proto3 JSON demands, and no precision is lost on the way.
func parseInteger<Value: FixedWidthInteger>(
  _ literal: String, as type: Value.Type
) -> Result<Value, IntegerError> {
  guard let number = DecimalLiteral(literal) else { return .failure(.notANumber) }
  guard !number.digits.isEmpty else { return .success(0) }
  guard number.exponent >= 0 else { return .failure(.notWhole) }
  // Twenty digits hold every 64-bit integer; this also bounds the loop below when the exponent is absurd.
  guard number.digits.count + number.exponent <= 20 else { return .failure(.outOfRange) }
  var value: Value = 0
  for digit in number.digits + Array(repeating: 0, count: number.exponent) {
    let (shifted, tooLarge) = value.multipliedReportingOverflow(by: 10)
    // Negative numbers are summed downwards: the smallest one has no positive counterpart.
    let (sum, over) =
      number.isNegative
      ? shifted.subtractingReportingOverflow(Value(digit)) : shifted.addingReportingOverflow(Value(digit))
    if tooLarge || over { return .failure(.outOfRange) }
    value = sum
  }
  return .success(value)
}

/// A JSON number as digits times a power of ten, without zeros at either end.
struct DecimalLiteral {
  private(set) var isNegative = false
  private(set) var digits: [UInt8] = []
  private(set) var exponent = 0

  /// `nil` unless the text follows JSON's grammar of a number.
  init?(_ literal: String) {
    var rest = Substring(literal).utf8[...]
    isNegative = Self.take("-", from: &rest)
    let whole = Self.takeDigits(from: &rest)
    guard let first = whole.first, first != 0 || whole.count == 1 else { return nil }
    var fraction: [UInt8] = []
    if Self.take(".", from: &rest) {
      fraction = Self.takeDigits(from: &rest)
      if fraction.isEmpty { return nil }
    }
    if Self.take("e", from: &rest) || Self.take("E", from: &rest) {
      let isDown = Self.take("-", from: &rest)
      if !isDown { _ = Self.take("+", from: &rest) }
      let power = Self.takeDigits(from: &rest)
      if power.isEmpty { return nil }
      // Beyond this every value but zero is out of range of everything, so more digits change nothing.
      let magnitude = power.reduce(0) { min($0 * 10 + Int($1), 1_000_000_000) }
      exponent = isDown ? -magnitude : magnitude
    }
    guard rest.isEmpty else { return nil }
    digits = Array((whole + fraction).drop { $0 == 0 })
    exponent -= fraction.count
    while digits.last == 0 {
      digits.removeLast()
      exponent += 1
    }
    if digits.isEmpty { exponent = 0 }
  }

  private static func take(_ character: Unicode.Scalar, from rest: inout Substring.UTF8View) -> Bool {
    guard rest.first == UInt8(ascii: character) else { return false }
    rest.removeFirst()
    return true
  }

  private static func takeDigits(from rest: inout Substring.UTF8View) -> [UInt8] {
    let digits = rest.prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
    rest = rest[digits.endIndex...]
    return digits.map { $0 - UInt8(ascii: "0") }
  }
}
