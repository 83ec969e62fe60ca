import LockstepSQL

/// Statements and dot commands out of lines, as the sqlite3 shell finds them: a dot command is a line of its own where no
/// statement has begun; a statement ends with a semicolon that stands in no text, comment or trigger.
struct SQLScript {
  enum Piece: Equatable {
    case command(String)
    /// `line`: where it begins, counted from 1.
    case statement(String, line: Int)
  }

  private var pending = ""
  private var firstLine = 0
  private var line = 0

  /// Within a statement: the prompt is another one.
  var isWithin: Bool { !pending.isEmpty }

  mutating func add(_ text: String) -> [Piece] {
    line += 1
    if pending.isEmpty {
      guard text.contains(where: { !$0.isWhitespace }) else { return [] }
      if text.hasPrefix(".") { return [.command(text)] }
      firstLine = line
    }
    pending += pending.isEmpty ? text : "\n" + text
    guard pending.contains(";") else { return [] }
    return split(isEnd: false)
  }

  /// What has no semicolon at the end of the input is a statement, too.
  mutating func end() -> [Piece] { split(isEnd: true) }

  private mutating func split(isEnd: Bool) -> [Piece] {
    let (statements, rest) = SQLText.statements(pending)
    var pieces: [Piece] = statements.map { .statement($0, line: firstLine) }
    if isEnd, SQLText.isStatement(rest) { pieces.append(.statement(rest, line: firstLine)) }
    pending = isEnd || !SQLText.isStatement(rest) && !SQLText.isWithinComment(rest) ? "" : rest
    firstLine = line
    return pieces
  }
}
