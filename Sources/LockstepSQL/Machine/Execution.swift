import LockstepConsensus
import LockstepExecution
import LockstepRequests

/// Carries out one call of `Execute`: all of its statements, or none.
struct Execution {
  let connection: WritingConnection
  let request: Lockstep_Sql_V1_ExecuteRequest

  static let maximumStatements = 1000

  /// What can be said before the request is put into the log. Texts that are `known` were found in order before.
  static func check(
    _ request: Lockstep_Sql_V1_ExecuteRequest, isKnown: (String) -> Bool = { _ in false }
  ) throws(CallStatus) {
    guard !request.statements.isEmpty else { throw CallStatus(.invalidArgument, "there is no statement to carry out") }
    guard request.statements.count <= maximumStatements else {
      throw CallStatus(
        .invalidArgument, "\(request.statements.count) statements in one call, the limit is \(maximumStatements)")
    }
    for (place, statement) in request.statements.enumerated() where !isKnown(statement.sql) {
      try StatementText.check(statement.sql, name(place, of: request))
    }
  }

  static func name(_ place: Int, of request: Lockstep_Sql_V1_ExecuteRequest) -> String {
    request.statements.count == 1 ? "the statement" : "statement \(place + 1)"
  }

  /// Within a transaction. Refused, the database is as it was before; interrupted, the transaction may be gone.
  ///
  /// A call of one statement mostly needs no savepoint, which costs as much as a small INSERT: what a statement has begun,
  /// SQLite undoes. Where that was not all (`INSERT OR FAIL`, or what is refused when it is done), `halfDone` is thrown:
  /// then the transaction is to be undone, and this call to be carried out with `isUndoable`.
  func run(
    _ context: ApplyContext, areWanted: Bool, isUndoable: Bool
  ) throws(SQLFault) -> Lockstep_Sql_V1_ExecuteReply {
    do throws(CallStatus) { try Self.check(request, isKnown: connection.isKept) } catch { throw .refused(error) }
    connection.begin(context)
    let digest = connection.digest.value
    let hasSavepoint = isUndoable ? true : try !isOneChange()
    let before = connection.totalChanges
    if hasSavepoint { try connection.run("SAVEPOINT lockstep_call") }
    do throws(SQLFault) {
      var reply = try statements(areWanted)
      reply.revision = context.index.rawValue
      if hasSavepoint { try connection.run("RELEASE lockstep_call") }
      return reply
    } catch {
      connection.digest.value = digest
      guard connection.isInTransaction else {
        if case .refused = error { throw .broken("SQLite has undone a transaction that it should not have: \(error)") }
        throw error
      }
      switch error {
      case .broken, .damaged, .halfDone: throw error
      case .refused, .interrupted: break
      }
      if hasSavepoint {
        try connection.run("ROLLBACK TO lockstep_call")
        try connection.run("RELEASE lockstep_call")
        connection.schemaHasChanged()
      } else if connection.totalChanges != before {
        throw .halfDone
      }
      throw error
    }
  }

  /// Whether all of the call is one statement that changes rows of tables, and nothing but what stands in it.
  private func isOneChange() throws(SQLFault) -> Bool {
    guard request.statements.count == 1, try !connection.hasTriggers() else { return false }
    return try !connection.statement(request.statements[0].sql, Self.name(0, of: request)).changesSchema
  }

  private func statements(_ areWanted: Bool) throws(SQLFault) -> Lockstep_Sql_V1_ExecuteReply {
    var reply = Lockstep_Sql_V1_ExecuteReply()
    var bytes = 0
    for (place, asked) in request.statements.enumerated() {
      let (result, size) = try run(asked, Self.name(place, of: request), areWanted)
      bytes += size
      guard bytes <= SQLRows.maximumBytes else {
        throw .refused(CallStatus(.resourceExhausted, "the call gives more than \(SQLRows.maximumBytes) bytes of rows"))
      }
      if areWanted { reply.results.append(result) }
    }
    return reply
  }

  private func run(
    _ asked: Lockstep_Sql_V1_Statement, _ name: String, _ areWanted: Bool
  ) throws(SQLFault) -> (Lockstep_Sql_V1_Result, bytes: Int) {
    let statement = try connection.statement(asked.sql, name)
    defer { statement.reset() }
    try statement.bind(asked.parameters)
    let before = connection.totalChanges
    var rows = SQLRows()
    connection.rules.use = .execute
    defer { connection.rules.use = .own }
    try connection.counting { () throws(SQLFault) in try rows.fill(from: statement, areWanted: areWanted) }
    // Whenever this is found out, it is the same on all replicas: the count only grows.
    guard connection.digest.writtenBytes <= WritingConnection.maximumWrittenBytes else { throw .interrupted }
    guard !connection.digest.hasHighestRow else {
      throw .refused(
        CallStatus(
          .outOfRange, "\(name): the rowid \(Int64.max) is refused: SQLite would draw the next one by chance"))
    }
    var result = Lockstep_Sql_V1_Result()
    if !statement.isReading {
      result.rowsAffected = connection.totalChanges > before ? connection.changes : 0
      connection.noteChanges(result.rowsAffected)
      if statement.changesSchema {
        connection.digest.changeSchema(asked.sql)
        connection.schemaHasChanged()
      }
    }
    result.lastInsertRowid = connection.lastInsertRowid
    result.columns = statement.columnCount > 0 ? rows.columns : []
    result.rows = rows.rows
    return (result, rows.bytes)
  }
}
