import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepServices

/// Answers `Query`: one statement, on what was committed when it began.
final class SQLReader: StoredStateReader {
  private let path: String
  private let connection: ReadingConnection

  init(_ path: String) throws(SQLFault) {
    self.path = path
    connection = try ReadingConnection(path, label: "lockstep.sql.query")
  }

  func query(_ call: MethodCall, isLate: () -> Bool) throws(StoredMachineFailure) -> StoredAnswer {
    do throws(SQLFault) {
      try connection.run("BEGIN")
      let answer: StoredAnswer
      do throws(SQLFault) { answer = try answered(call, isLate) } catch {
        try connection.run("ROLLBACK")
        throw error
      }
      try connection.run("ROLLBACK")
      return answer
    } catch { throw SQLState.failure(error, path) }
  }

  private func answered(_ call: MethodCall, _ isLate: () -> Bool) throws(SQLFault) -> StoredAnswer {
    let mark = try mark()
    do throws(SQLFault) {
      let request: Lockstep_Sql_V1_QueryRequest
      do throws(CallStatus) { request = try decoded(Lockstep_Sql_V1_QueryRequest.self, call.request) } catch {
        throw .refused(error)
      }
      var reply = try connection.withLimit(isLate) { () throws(SQLFault) in try rows(request) }
      reply.revision = mark.last.index.rawValue
      do throws(CallStatus) { return StoredAnswer(mark: mark, result: .success(try SQLMachine.bytes(of: reply))) } catch
      {
        throw .refused(error)
      }
    } catch {
      switch error {
      case .refused(let status): return StoredAnswer(mark: mark, result: .failure(status))
      case .interrupted, .halfDone:
        return StoredAnswer(
          mark: mark, result: .failure(CallStatus(.deadlineExceeded, "the query was not answered in time")))
      case .broken, .damaged: throw error
      }
    }
  }

  private func mark() throws(SQLFault) -> StoredMark {
    let statement = try SQLStatement(
      "SELECT last, term, time FROM lockstep_state", on: connection.handle, rules: connection.rules, name: "the mark",
      isKept: false)
    guard try statement.step() else { throw .broken("the table lockstep_state has lost its row") }
    let (last, term, time) = (statement.integer(0), statement.integer(1), statement.integer(2))
    return StoredMark(
      last: EntryID(term: Term(UInt64(bitPattern: term)), index: LogIndex(UInt64(bitPattern: last))),
      time: UInt64(bitPattern: time))
  }

  private func rows(_ request: Lockstep_Sql_V1_QueryRequest) throws(SQLFault) -> Lockstep_Sql_V1_QueryReply {
    connection.rules.use = .query
    defer { connection.rules.use = .own }
    let statement = try SQLStatement(
      request.sql, on: connection.handle, rules: connection.rules, name: "the query", isKept: false)
    guard statement.isReading else {
      throw .refused(CallStatus(.invalidArgument, "the query would change the database: Sql/Execute does that"))
    }
    try statement.bind(request.parameters)
    var rows = SQLRows()
    try rows.fill(from: statement, areWanted: true)
    var reply = Lockstep_Sql_V1_QueryReply()
    (reply.columns, reply.rows) = (rows.columns, rows.rows)
    return reply
  }
}
