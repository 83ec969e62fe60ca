/// A point in time or a span, as google.protobuf.Timestamp and Duration split it: seconds, and nanoseconds beside them.
struct SplitTime: Equatable, CustomStringConvertible {
  var seconds: Int64
  var nanos: Int32

  init(seconds: Int64, nanos: Int32) {
    self.seconds = seconds
    self.nanos = nanos
  }

  var description: String { "\(seconds) s and \(nanos) ns" }

  /// The years 1 to 9999.
  private static let timestamps: ClosedRange<Int64> = -62_135_596_800...253_402_300_799
  /// About 10,000 years to both sides.
  private static let durations: ClosedRange<Int64> = -315_576_000_000...315_576_000_000

  /// Without digits that are zero, in groups of three.
  private static func fraction(_ nanos: Int32) -> String {
    guard nanos != 0 else { return "" }
    var digits = pad(Int64(nanos), 9)
    while digits.hasSuffix("000") { digits.removeLast(3) }
    return "." + digits
  }

  private static func pad(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}

extension SplitTime {
  /// For example `1.500s`; `nil` when out of range, or when the halves have different signs.
  var durationText: String? {
    guard Self.durations.contains(seconds), abs(Int64(nanos)) < 1_000_000_000,
      seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0)
    else { return nil }
    return (seconds < 0 || nanos < 0 ? "-" : "") + "\(abs(seconds))\(Self.fraction(abs(nanos)))s"
  }

  init?(duration text: String) {
    var reader = DigitReader(text)
    let isNegative = reader.take("-")
    guard let whole = reader.number(digits: 1...12), let nanos = reader.fraction(), reader.take("s"), reader.isAtEnd,
      Self.durations.contains(whole), whole < Self.durations.upperBound || nanos == 0
    else { return nil }
    self.init(seconds: isNegative ? -whole : whole, nanos: isNegative ? -nanos : nanos)
  }
}

extension SplitTime {
  private static let secondsPerDay: Int64 = 86_400

  /// For example `2006-01-02T15:04:05.123Z`; `nil` when out of range.
  var timestampText: String? {
    guard Self.timestamps.contains(seconds), (0..<1_000_000_000).contains(nanos) else { return nil }
    let second = ((seconds % Self.secondsPerDay) + Self.secondsPerDay) % Self.secondsPerDay
    let (year, month, day) = Self.date(ofDay: (seconds - second) / Self.secondsPerDay)
    let date = Self.pad(year, 4) + "-" + Self.pad(month, 2) + "-" + Self.pad(day, 2)
    let time = [second / 3600, second / 60 % 60, second % 60].map { Self.pad($0, 2) }.joined(separator: ":")
    return date + "T" + time + Self.fraction(nanos) + "Z"
  }

  /// RFC 3339, in UTC or with an offset.
  init?(timestamp text: String) {
    var reader = DigitReader(text)
    guard let year = reader.number(digits: 4...4), reader.take("-"), let month = reader.number(digits: 2...2),
      reader.take("-"), let day = reader.number(digits: 2...2), reader.take("T"),
      let time = Self.secondsOfDay(&reader, hasSeconds: true), let nanos = reader.fraction(),
      let offset = Self.offset(&reader), reader.isAtEnd,
      (1...12).contains(month), day >= 1, day <= Self.days(inMonth: month, of: year)
    else { return nil }
    let seconds = Self.day(year, month, day) * Self.secondsPerDay + time - offset
    guard Self.timestamps.contains(seconds) else { return nil }
    self.init(seconds: seconds, nanos: nanos)
  }

  private static func secondsOfDay(_ reader: inout DigitReader, hasSeconds: Bool) -> Int64? {
    guard let hour = reader.number(digits: 2...2), hour < 24, reader.take(":"),
      let minute = reader.number(digits: 2...2), minute < 60
    else { return nil }
    guard hasSeconds else { return hour * 3600 + minute * 60 }
    guard reader.take(":"), let second = reader.number(digits: 2...2), second < 60 else { return nil }
    return hour * 3600 + minute * 60 + second
  }

  private static func offset(_ reader: inout DigitReader) -> Int64? {
    if reader.take("Z") { return 0 }
    if reader.take("+") { return secondsOfDay(&reader, hasSeconds: false) }
    return reader.take("-") ? secondsOfDay(&reader, hasSeconds: false).map { -$0 } : nil
  }

  private static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

  private static func days(inMonth month: Int64, of year: Int64) -> Int64 {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days from 1970-01-01 to a date of the Gregorian calendar, years 0 and later.
  private static func day(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    // Years that begin in March have their leap day at the end, and their months follow one formula: 153 days in every
    // five months.
    let shifted = month > 2 ? year : year - 1
    let monthFromMarch = (month + 9) % 12
    let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
    let century = shifted >= 0 ? shifted / 400 : (shifted - 399) / 400
    let yearOfEra = shifted - century * 400
    return century * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func date(ofDay number: Int64) -> (year: Int64, month: Int64, day: Int64) {
    // The estimate is a year too late at most, or not at all.
    var year = (number + 719_528) * 400 / 146_097 + 1
    while day(year, 1, 1) > number { year -= 1 }
    var rest = number - day(year, 1, 1)
    var month: Int64 = 1
    while rest >= days(inMonth: month, of: year) {
      rest -= days(inMonth: month, of: year)
      month += 1
    }
    return (year, month, rest + 1)
  }
}

/// Takes a text of fixed form apart, from front to back.
private struct DigitReader {
  private var rest: Substring.UTF8View

  init(_ text: String) { rest = Substring(text).utf8 }

  var isAtEnd: Bool { rest.isEmpty }

  mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard rest.first == UInt8(ascii: character) else { return false }
    rest.removeFirst()
    return true
  }

  private mutating func digits() -> [UInt8] {
    let digits = rest.prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
    rest = rest[digits.endIndex...]
    return digits.map { $0 - UInt8(ascii: "0") }
  }

  mutating func number(digits allowed: ClosedRange<Int>) -> Int64? {
    let digits = digits()
    return allowed.contains(digits.count) ? digits.reduce(0) { $0 * 10 + Int64($1) } : nil
  }

  /// Nanoseconds, from up to nine digits behind a point; 0 when there is no point.
  mutating func fraction() -> Int32? {
    guard take(".") else { return 0 }
    let digits = digits()
    guard (1...9).contains(digits.count) else { return nil }
    return (digits + Array(repeating: 0, count: 9 - digits.count)).reduce(0) { $0 * 10 + Int32($1) }
  }
}
