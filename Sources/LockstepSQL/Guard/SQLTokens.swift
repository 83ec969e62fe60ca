/// A statement's text, cut as SQLite's own tokenizer cuts it.
struct SQLToken: Equatable {
  enum Kind: Equatable {
    /// A keyword or a name without quotes.
    case word
    /// In single quotes.
    case string
    /// A name in "…", `…` or […].
    case quoted
    case parameter
    case number
    case symbol
  }

  let kind: Kind
  /// Of a word in lower case; of a string and a quoted name what stands between the quotes.
  let text: String

  func isWord(_ word: String) -> Bool { kind == .word && text == word }
  func isSymbol(_ symbol: String) -> Bool { kind == .symbol && text == symbol }
}

/// Never fails: what is not SQL is refused by SQLite.
struct SQLTokens: Sequence, IteratorProtocol {
  private let bytes: [UInt8]
  private var place = 0

  init(_ sql: String) { bytes = Array(sql.utf8) }

  /// Bytes that are read: right after the token that came last.
  var position: Int { place }

  mutating func next() -> SQLToken? {
    skipSpaceAndComments()
    guard place < bytes.count else { return nil }
    let first = bytes[place]
    switch first {
    case UInt8(ascii: "'"): return SQLToken(kind: .string, text: quoted(until: first))
    case UInt8(ascii: "\""), UInt8(ascii: "`"): return SQLToken(kind: .quoted, text: quoted(until: first))
    case UInt8(ascii: "["): return SQLToken(kind: .quoted, text: quoted(until: UInt8(ascii: "]")))
    case UInt8(ascii: "?"), UInt8(ascii: ":"), UInt8(ascii: "@"), UInt8(ascii: "$"), UInt8(ascii: "#"):
      return SQLToken(kind: .parameter, text: run(from: 1) { Self.isOfWord($0) })
    case UInt8(ascii: "0")...UInt8(ascii: "9"):
      return SQLToken(kind: .number, text: run(from: 1) { Self.isOfWord($0) || $0 == UInt8(ascii: ".") })
    case _ where Self.isOfWord(first):
      let word = run(from: 1) { Self.isOfWord($0) }.lowercased()
      // x'00' is a blob.
      guard word == "x", place < bytes.count, bytes[place] == UInt8(ascii: "'") else {
        return SQLToken(kind: .word, text: word)
      }
      return SQLToken(kind: .number, text: quoted(until: UInt8(ascii: "'")))
    default: return SQLToken(kind: .symbol, text: run(from: 1) { _ in false })
    }
  }

  private static func isOfWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...:
      true
    default: false
    }
  }

  private mutating func run(from offset: Int, while isMore: (UInt8) -> Bool) -> String {
    let start = place
    place += offset
    while place < bytes.count, isMore(bytes[place]) { place += 1 }
    return String(decoding: bytes[start..<place], as: UTF8.self)
  }

  /// A doubled quote stands for one, but in brackets.
  private mutating func quoted(until quote: UInt8) -> String {
    var text: [UInt8] = []
    place += 1
    while place < bytes.count {
      let byte = bytes[place]
      place += 1
      if byte == quote {
        guard quote != UInt8(ascii: "]"), place < bytes.count, bytes[place] == quote else { break }
        place += 1
      }
      text.append(byte)
    }
    return String(decoding: text, as: UTF8.self)
  }

  private mutating func skipSpaceAndComments() {
    while place < bytes.count {
      let (byte, next) = (bytes[place], place + 1 < bytes.count ? bytes[place + 1] : 0)
      switch (byte, next) {
      case (0x20, _), (0x09, _), (0x0a, _), (0x0c, _), (0x0d, _): place += 1
      case (UInt8(ascii: "-"), UInt8(ascii: "-")):
        while place < bytes.count, bytes[place] != 0x0a { place += 1 }
      case (UInt8(ascii: "/"), UInt8(ascii: "*")):
        place += 2
        while place < bytes.count {
          place += 1
          // From the third byte on: "/*/" does not end what it begins.
          if bytes[place - 1] == UInt8(ascii: "*"), place < bytes.count, bytes[place] == UInt8(ascii: "/") {
            place += 1
            break
          }
        }
      default: return
      }
    }
  }
}
