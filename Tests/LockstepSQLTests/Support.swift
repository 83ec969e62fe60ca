import Foundation
import LockstepConsensus
import LockstepExecution
import LockstepRequests

@testable import LockstepSQL

/// A directory that goes with the test.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "/lockstep-sql-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// One database, and the calls that are carried out on it one after the other.
final class Database {
  private let directory: TemporaryDirectory
  let connection: WritingConnection
  private var index: UInt64 = 0

  init() throws {
    directory = try TemporaryDirectory()
    connection = try WritingConnection("\(directory.path)/test.db")
  }

  deinit { connection.close() }

  static let time: UInt64 = 1_700_000_000_000_000_000

  /// One call, in a transaction of its own; what it was refused for, if it was.
  func execute(
    _ statements: [(String, [Lockstep_Sql_V1_Value])], time: UInt64 = time
  ) throws -> Lockstep_Sql_V1_ExecuteReply {
    var request = Lockstep_Sql_V1_ExecuteRequest()
    request.statements = statements.map { sql, parameters in
      var statement = Lockstep_Sql_V1_Statement()
      statement.sql = sql
      statement.parameters = parameters
      return statement
    }
    index += 1
    let context = ApplyContext(group: .first, index: LogIndex(index), term: Term(1), time: time, session: nil)
    try connection.run("BEGIN IMMEDIATE")
    do {
      let reply = try run(Execution(connection: connection, request: request), context)
      try connection.run("COMMIT")
      return reply
    } catch {
      if connection.isInTransaction { try connection.run("COMMIT") }
      if case SQLFault.refused(let status) = error { throw status }
      throw error
    }
  }

  private func run(
    _ execution: Execution, _ context: ApplyContext
  ) throws(SQLFault) -> Lockstep_Sql_V1_ExecuteReply {
    do throws(SQLFault) { return try execution.run(context, areWanted: true, isUndoable: false) } catch {
      guard case .halfDone = error else { throw error }
      try connection.run("ROLLBACK")
      connection.schemaHasChanged()
      try connection.run("BEGIN IMMEDIATE")
      return try execution.run(context, areWanted: true, isUndoable: true)
    }
  }

  @discardableResult
  func execute(_ sql: String..., time: UInt64 = time) throws -> Lockstep_Sql_V1_ExecuteReply {
    try execute(sql.map { ($0, []) }, time: time)
  }

  /// The rows of the last statement, as the sqlite3 shell lists them.
  func rows(_ sql: String..., time: UInt64 = time) throws -> [String] {
    try execute(sql.map { ($0, []) }, time: time).results.last?.rows.map { row in
      row.values.map { $0.listed }.joined(separator: "|")
    } ?? []
  }
}

extension Lockstep_Sql_V1_Value {
  var listed: String {
    switch kind {
    case nil, .null: ""
    case .integer(let number): "\(number)"
    case .real(let number): "\(number)"
    case .text(let text): text
    case .blob(let bytes): bytes.map { String($0, radix: 16) }.joined()
    }
  }
}
