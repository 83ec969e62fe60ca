/// Texts of SQL, for who reads them from a person or a file.
public enum SQLText {
  /// The statements that are whole in this text, without their semicolons' following space, and what stands behind the last
  /// one. A trigger's own statements end none.
  public static func statements(_ text: String) -> (whole: [String], rest: String) {
    var (whole, start, words): ([String], Int, [String]) = ([], 0, [])
    let bytes = Array(text.utf8)
    var tokens = SQLTokens(text)
    var before: SQLToken?
    while let token = tokens.next() {
      defer { before = token }
      guard token.isSymbol(";") else {
        if words.count < 4, token.kind == .word { words.append(token.text) }
        continue
      }
      if isTrigger(words), before?.isWord("end") != true { continue }
      let statement = String(decoding: bytes[start..<tokens.position], as: UTF8.self)
      if isStatement(statement) { whole.append(trimmed(statement)) }
      (start, words) = (tokens.position, [])
    }
    return (whole, String(decoding: bytes[start...], as: UTF8.self))
  }

  /// CREATE TRIGGER, CREATE TEMP TRIGGER, perhaps behind EXPLAIN.
  private static func isTrigger(_ words: [String]) -> Bool {
    guard let place = words.firstIndex(of: "create") else { return false }
    return place <= 1 && words[place...].dropFirst().first { $0 != "temp" && $0 != "temporary" } == "trigger"
  }

  /// Is there more than space, comments and semicolons?
  public static func isStatement(_ text: String) -> Bool { SQLTokens(text).contains { !$0.isSymbol(";") } }

  /// Does a comment begin here that does not end?
  public static func isWithinComment(_ text: String) -> Bool {
    guard !isStatement(text), let open = text.firstRange(of: "/*") else { return false }
    return !text[open.upperBound...].contains("*/")
  }

  /// Must be asked of `Sql/Query`: it gives rows and changes nothing.
  public static func isQuery(_ sql: String) -> Bool {
    var (depth, isFirst) = (0, true)
    for token in SQLTokens(sql) {
      if token.isSymbol("(") { depth += 1 } else if token.isSymbol(")") { depth -= 1 }
      guard token.kind == .word, depth == 0 else { continue }
      switch token.text {
      case "select", "values", "explain", "pragma": return true
      // What it is stands behind the common tables.
      case "with": isFirst = false
      case "insert", "replace", "update", "delete": return false
      default: if isFirst { return false }
      }
    }
    return false
  }

  private static func trimmed(_ text: String) -> String {
    let space: (Character) -> Bool = { $0 == " " || $0 == "\n" || $0 == "\t" || $0 == "\r" || $0 == "\r\n" }
    return String(text.drop(while: space))
  }
}
