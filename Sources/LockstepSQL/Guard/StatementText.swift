import LockstepRequests

/// What can be told of a statement in `Execute` from its text alone, before it is put into the log and without a database.
/// The rest is told by SQLite itself when it prepares the statement: see `StatementRules`.
enum StatementText {
  /// Statements that begin so, and why they are refused.
  private static let refused: [(word: String, reason: String)] = [
    ("begin", transaction), ("commit", transaction), ("end", transaction), ("rollback", transaction),
    ("savepoint", transaction), ("release", transaction),
    ("pragma", "it would change this connection and not the replicated state; Sql/Query answers those that only read"),
    ("attach", "another file is not replicated"), ("detach", "another file is not replicated"),
    ("vacuum", "it changes the file and not the rows, and cannot be part of a transaction"),
    ("analyze", "with other statistics SQLite takes other ways, and rows come in another order"),
    ("explain", "it changes nothing; ask Sql/Query"),
  ]
  private static let transaction =
    "the statements of one call are a transaction, and none stays open between two calls"
  private static let dateFunctions = ["date", "time", "datetime", "julianday", "strftime", "unixepoch"]

  /// Throws when this must not be carried out from the log, saying why. `name` is how the errors call it.
  static func check(_ sql: String, _ name: String) throws(CallStatus) {
    // Of each parenthesis that is open, and of the statement.
    var (depth, isOrdered, isOfDate) = (0, [false], [false])
    var first = true
    var before: SQLToken?
    for token in SQLTokens(sql) {
      if first, token.isSymbol(";") { continue }
      if first, let (word, reason) = refused.first(where: { token.isWord($0.word) }) {
        throw refusal(name, word.uppercased(), reason)
      }
      first = false
      switch (token.kind, token.text) {
      case (.symbol, "("):
        depth += 1
        isOrdered.append(false)
        isOfDate.append(
          isOfDate[depth - 1] || before.map { $0.kind == .word && dateFunctions.contains($0.text) } == true)
      case (.symbol, ")"):
        if depth > 0 {
          depth -= 1
          isOrdered.removeLast()
          isOfDate.removeLast()
        }
      // The next statement of a trigger.
      case (.symbol, ";"): isOrdered[depth] = false
      case (.word, "by"): if before?.isWord("order") == true { isOrdered[depth] = true }
      case (.word, "limit"):
        guard isOrdered[depth] else {
          throw refusal(
            name, "LIMIT without ORDER BY", "which rows come first could differ between replicas; say in which order")
        }
      case (.word, "rollback"):
        throw refusal(name, "ROLLBACK", "it would undo what other calls have done; ABORT undoes this call alone")
      case (.string, let text), (.quoted, let text):
        if isOfDate[depth], ["localtime", "utc"].contains(text.lowercased()) {
          throw refusal(
            name, "the modifier '\(text.lowercased())'", "time zones differ between machines; times are in UTC")
        }
      default: break
      }
      before = token
    }
    guard !first else { throw CallStatus(.invalidArgument, "\(name) is empty") }
  }

  static func refusal(_ name: String, _ what: String, _ reason: String) -> CallStatus {
    CallStatus(.invalidArgument, "\(name): \(what) is refused: \(reason)")
  }
}
