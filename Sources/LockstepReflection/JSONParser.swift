/// Where a JSON text goes wrong, and how.
package struct JSONSyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Counted from 1.
  package let line: Int
  /// In characters (Unicode scalars) from the start of the line, counted from 1.
  package let column: Int
  /// In bytes from the start of the text, counted from 0.
  package let offset: Int
  package let reason: String

  package var description: String { "line \(line), column \(column): \(reason)" }

  init(_ reason: String, at offset: Int, in text: [UInt8]) {
    let before = text[..<min(offset, text.count)]
    let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    self.line = before.count { $0 == UInt8(ascii: "\n") } + 1
    // A continuation byte of UTF-8 is not the start of a character.
    self.column = before[lineStart...].count { $0 & 0xC0 != 0x80 } + 1
    self.offset = offset
    self.reason = reason
  }
}

extension JSONValue {
  /// Reads exactly one value: RFC 8259 with nothing added, valid UTF-8, no key twice in an object, and arrays and
  /// objects nested no deeper than `depthLimit`, which is enough for every message when it is nil.
  package init(parsing text: String, depthLimit: Int? = nil) throws(JSONSyntaxError) {
    try self.init(parsing: Array(text.utf8), depthLimit: depthLimit)
  }

  package init(parsing bytes: [UInt8], depthLimit: Int? = nil) throws(JSONSyntaxError) {
    var parser = JSONParser(text: bytes, depthLimit: depthLimit ?? ReflectionLimits.jsonDepth)
    self = try parser.parseDocument()
  }
}

private struct JSONParser {
  let text: [UInt8]
  let depthLimit: Int
  var offset = 0
  var depth = 0

  init(text: [UInt8], depthLimit: Int) {
    self.text = text
    self.depthLimit = depthLimit
  }

  mutating func parseDocument() throws(JSONSyntaxError) -> JSONValue {
    do {
      _ = try UTF8Span(validating: text.span)
    } catch {
      throw JSONSyntaxError("the text is not valid UTF-8", at: error.byteOffsets.lowerBound, in: text)
    }
    skipSpace()
    let value = try parseValue()
    skipSpace()
    guard offset == text.count else { throw failure("unexpected \(found) after the end of the value") }
    return value
  }

  private func failure(_ reason: String, at position: Int? = nil) -> JSONSyntaxError {
    JSONSyntaxError(reason, at: position ?? offset, in: text)
  }

  /// The next character, as an error names it.
  private var found: String {
    guard offset < text.count else { return "end of the text" }
    // The text is valid UTF-8 here, and the offset stands at the start of a character.
    let character = String(decoding: text[offset...].prefix(4), as: UTF8.self).unicodeScalars.first
    return "'" + printable(character.map { String($0) } ?? "", limit: 1) + "'"
  }

  private mutating func skipSpace() {
    while offset < text.count {
      switch text[offset] {
      case 0x20, 0x0A, 0x0D, 0x09: offset += 1
      default: return
      }
    }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard offset < text.count, text[offset] == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  private mutating func parseValue() throws(JSONSyntaxError) -> JSONValue {
    guard offset < text.count else { throw failure("expected a value, found end of the text") }
    switch text[offset] {
    case UInt8(ascii: "{"): return .object(try nested { parser throws(JSONSyntaxError) in try parser.parseMembers() })
    case UInt8(ascii: "["): return .array(try nested { parser throws(JSONSyntaxError) in try parser.parseElements() })
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try parseNumber())
    case UInt8(ascii: "t") where takeWord("true"): return .bool(true)
    case UInt8(ascii: "f") where takeWord("false"): return .bool(false)
    case UInt8(ascii: "n") where takeWord("null"): return .null
    default: throw failure("expected a value, found \(found)")
    }
  }

  private mutating func takeWord(_ word: String) -> Bool {
    guard text[offset...].starts(with: word.utf8) else { return false }
    offset += word.utf8.count
    return true
  }

  private mutating func nested<Content>(
    _ parse: (inout JSONParser) throws(JSONSyntaxError) -> Content
  ) throws(JSONSyntaxError) -> Content {
    guard depth < depthLimit else { throw failure("nested more than \(depthLimit) deep") }
    depth += 1
    offset += 1
    let content = try parse(&self)
    depth -= 1
    return content
  }

  private mutating func parseElements() throws(JSONSyntaxError) -> [JSONValue] {
    var elements: [JSONValue] = []
    skipSpace()
    if take("]") { return elements }
    while true {
      skipSpace()
      elements.append(try parseValue())
      skipSpace()
      if take("]") { return elements }
      guard take(",") else { throw failure("expected ',' or ']' in an array, found \(found)") }
    }
  }

  private mutating func parseMembers() throws(JSONSyntaxError) -> [JSONValue.Member] {
    var members: [JSONValue.Member] = []
    var keys: Set<ExactText> = []
    skipSpace()
    if take("}") { return members }
    while true {
      skipSpace()
      let start = offset
      guard offset < text.count, text[offset] == UInt8(ascii: "\"") else {
        throw failure("expected a key in double quotes, found \(found)")
      }
      let key = try parseString()
      guard keys.insert(ExactText(key)).inserted else {
        throw failure("key \"\(printable(key, limit: 80))\" is given twice", at: start)
      }
      skipSpace()
      guard take(":") else { throw failure("expected ':' after a key, found \(found)") }
      skipSpace()
      members.append(JSONValue.Member(key: key, value: try parseValue()))
      skipSpace()
      if take("}") { return members }
      guard take(",") else { throw failure("expected ',' or '}' in an object, found \(found)") }
    }
  }

  private mutating func parseNumber() throws(JSONSyntaxError) -> String {
    let start = offset
    _ = take("-")
    if take("0") {
      if offset < text.count, isDigit(text[offset]) { throw failure("a number must not start with 0", at: start) }
    } else {
      try takeDigits()
    }
    if take(".") { try takeDigits() }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      try takeDigits()
    }
    return String(decoding: text[start..<offset], as: UTF8.self)
  }

  private mutating func takeDigits() throws(JSONSyntaxError) {
    let start = offset
    while offset < text.count, isDigit(text[offset]) { offset += 1 }
    guard offset > start else { throw failure("expected a digit, found \(found)") }
  }

  private func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }

  private mutating func parseString() throws(JSONSyntaxError) -> String {
    let start = offset
    offset += 1
    var bytes: [UInt8] = []
    while offset < text.count {
      let byte = text[offset]
      switch byte {
      case UInt8(ascii: "\""):
        offset += 1
        return String(decoding: bytes, as: UTF8.self)
      case UInt8(ascii: "\\"):
        bytes.append(contentsOf: Array(String(try parseEscape()).utf8))
      case 0..<0x20:
        throw failure("a control character in a string must be written as an escape, found \(found)")
      default:
        bytes.append(byte)
        offset += 1
      }
    }
    throw failure("the string has no end", at: start)
  }

  private mutating func parseEscape() throws(JSONSyntaxError) -> Unicode.Scalar {
    let start = offset
    offset += 1
    guard offset < text.count else { throw failure("the escape has no end", at: start) }
    let letter = text[offset]
    offset += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(letter)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return try parseUnicodeEscape(from: start)
    default:
      offset -= 1
      throw failure("no escape is written \\ and \(found)", at: start)
    }
  }

  private mutating func parseUnicodeEscape(from start: Int) throws(JSONSyntaxError) -> Unicode.Scalar {
    let first = try parseFourHexDigits(from: start)
    if let scalar = Unicode.Scalar(first) { return scalar }
    // What is no scalar of its own is half of a surrogate pair.
    guard first < 0xDC00, text[offset...].starts(with: "\\u".utf8) else {
      throw failure("half a surrogate pair is not a character", at: start)
    }
    offset += 2
    let second = try parseFourHexDigits(from: start)
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    else { throw failure("half a surrogate pair is not a character", at: start) }
    return scalar
  }

  private mutating func parseFourHexDigits(from start: Int) throws(JSONSyntaxError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard offset < text.count, let digit = Character(Unicode.Scalar(text[offset])).hexDigitValue, text[offset] < 0x80
      else { throw failure("\\u needs four hexadecimal digits", at: start) }
      value = value << 4 | UInt32(digit)
      offset += 1
    }
    return value
  }
}
