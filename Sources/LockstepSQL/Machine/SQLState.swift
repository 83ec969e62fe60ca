import Foundation
import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepServices
import SwiftProtobuf
import Synchronization

/// A database, and in it what the replication knows of it: the mark of the last entry, the digest, the sessions.
final class SQLState: StoredState {
  /// Of the tables below.
  private static let format: Int64 = 1
  private let files: SQLFiles
  private let connection: WritingConnection
  private(set) var mark = StoredMark()
  private(set) var digest: UInt64 = 0
  /// Statements of a batch are carried out, and not committed.
  private var isUnderWay = false
  private let copies = Atomic<Int>(0)

  init(_ directory: String) throws(StoredMachineFailure) {
    files = SQLFiles(directory)
    let path = files.database
    do throws(SQLFault) {
      connection = try WritingConnection(path)
      try prepare()
    } catch { throw Self.failure(error, path) }
  }

  private func prepare() throws(SQLFault) {
    guard try connection.one("SELECT count(*) FROM sqlite_schema WHERE name = 'lockstep_state'") == 1 else {
      try connection.run("BEGIN IMMEDIATE")
      try connection.run(
        """
        CREATE TABLE lockstep_state(id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER, last INTEGER, term INTEGER,
          time INTEGER, digest INTEGER)
        """)
      try connection.run(
        """
        CREATE TABLE lockstep_sessions(session INTEGER, sequence INTEGER, record BLOB, PRIMARY KEY (session, sequence))
          WITHOUT ROWID
        """)
      try connection.run("INSERT INTO lockstep_state VALUES (1, \(Self.format), 0, 0, 0, 0)")
      return try connection.run("COMMIT")
    }
    let row = try connection.integers("SELECT format, last, term, time, digest FROM lockstep_state")
    guard row.count == 5 else { throw .broken("the table lockstep_state has lost its row") }
    guard row[0] == Self.format else {
      throw .broken("the database is of format \(row[0]), and this version reads \(Self.format)")
    }
    let numbers = row.map { UInt64(bitPattern: $0) }
    mark = StoredMark(last: EntryID(term: Term(numbers[2]), index: LogIndex(numbers[1])), time: numbers[3])
    digest = numbers[4]
    connection.digest.value = digest
  }

  static func failure(_ fault: SQLFault, _ path: String) -> StoredMachineFailure {
    switch fault {
    case .refused(let status): StoredMachineFailure(.storage, "the database '\(path)': \(status.message)")
    case .interrupted, .halfDone: StoredMachineFailure(.storage, "the database '\(path)': interrupted")
    case .damaged(let message):
      StoredMachineFailure(
        .damaged,
        "the database '\(path)' is damaged: \(message). Remove the folder in which that file is, and nothing else of the node's: the machine is then made anew of the node's snapshot and log"
      )
    case .broken(let message): StoredMachineFailure(.storage, "the database '\(path)': \(message)")
    }
  }

  private func stored<Result>(_ body: () throws(SQLFault) -> Result) throws(StoredMachineFailure) -> Result {
    do throws(SQLFault) { return try body() } catch { throw Self.failure(error, files.database) }
  }

  // MARK: Commands

  func apply(_ batch: CommandBatch, into replies: inout Replies) throws(StoredMachineFailure) {
    var requests: [Result<Lockstep_Sql_V1_ExecuteRequest, CallStatus>] = []
    for place in 0..<batch.count {
      do throws(CallStatus) {
        guard SQLMachine.kind(batch[place].call.method) == .command else {
          throw CallStatus(.invalidArgument, "this is a query, and is not carried out from the log")
        }
        requests.append(.success(try decoded(Lockstep_Sql_V1_ExecuteRequest.self, batch[place].call.request)))
      } catch { requests.append(.failure(error)) }
    }
    let contexts = (0..<batch.count).map { batch[$0].context }
    // A statement that is interrupted takes the whole transaction with it: then all is done again, but for that one. So
    // it is where one was refused that cannot be undone by itself: then it is carried out so that it can be.
    var endless: [Int] = []
    var undoable: [Int] = []
    while true {
      let found = try stored { () throws(SQLFault) in
        try carryOut(requests, contexts, endless, undoable, replies.areWanted)
      }
      let outcomes: [Result<[UInt8], CallStatus>]
      switch found {
      case .interrupted(let place):
        endless.append(place)
        continue
      case .halfDone(let place):
        undoable.append(place)
        continue
      case .done(let all): outcomes = all
      }
      for outcome in outcomes {
        switch outcome {
        case .success(let bytes): replies.succeed(bytes)
        case .failure(let status): replies.fail(status)
        }
      }
      return
    }
  }

  /// Of a batch: what its calls came to, or the place of the one for which the transaction was undone.
  private enum Carried {
    case done([Result<[UInt8], CallStatus>])
    case interrupted(Int)
    case halfDone(Int)
  }

  private func carryOut(
    _ requests: [Result<Lockstep_Sql_V1_ExecuteRequest, CallStatus>], _ contexts: [ApplyContext], _ endless: [Int],
    _ undoable: [Int], _ areWanted: Bool
  ) throws(SQLFault) -> Carried {
    try connection.run("BEGIN IMMEDIATE")
    isUnderWay = true
    connection.digest.value = digest
    var outcomes: [Result<[UInt8], CallStatus>] = []
    for (place, request) in requests.enumerated() {
      if endless.contains(place) {
        outcomes.append(.failure(Self.endless))
        continue
      }
      do throws(SQLFault) {
        let execution = Execution(connection: connection, request: try Self.valid(request))
        let reply = try execution.run(
          contexts[place], areWanted: areWanted, isUndoable: undoable.contains(place))
        outcomes.append(.success(areWanted ? try Self.bytes(of: reply) : []))
      } catch {
        switch error {
        case .refused(let status): outcomes.append(.failure(status))
        case .interrupted where connection.isInTransaction: outcomes.append(.failure(Self.endless))
        case .interrupted:
          isUnderWay = false
          connection.schemaHasChanged()
          return .interrupted(place)
        case .halfDone:
          try connection.run("ROLLBACK")
          isUnderWay = false
          connection.schemaHasChanged()
          return .halfDone(place)
        case .broken, .damaged: throw error
        }
      }
    }
    return .done(outcomes)
  }

  private static func valid(
    _ request: Result<Lockstep_Sql_V1_ExecuteRequest, CallStatus>
  ) throws(SQLFault) -> Lockstep_Sql_V1_ExecuteRequest {
    do throws(CallStatus) { return try request.get() } catch { throw .refused(error) }
  }

  private static func bytes(of reply: Lockstep_Sql_V1_ExecuteReply) throws(SQLFault) -> [UInt8] {
    do throws(CallStatus) { return try SQLMachine.bytes(of: reply) } catch { throw .broken(error.message) }
  }

  private static let endless = CallStatus(
    .resourceExhausted,
    "the call takes more than \(WritingConnection.maximumSteps) steps of SQLite, or writes more than \(WritingConnection.maximumWrittenBytes) bytes of rows, for which all replicas would stand still; divide it"
  )

  func commit(_ mark: StoredMark, _ sessions: [SessionRecord]) throws(StoredMachineFailure) {
    try stored { () throws(SQLFault) in
      if !isUnderWay { try connection.run("BEGIN IMMEDIATE") }
      isUnderWay = false
      for record in sessions { try store(record) }
      let digest = connection.digest.value
      let numbers = [mark.last.index.rawValue, mark.last.term.rawValue, mark.time, digest]
      try connection.run(
        "UPDATE lockstep_state SET last = ?, term = ?, time = ?, digest = ?", numbers.map { Self.value($0) })
      try connection.run("COMMIT")
      (self.mark, self.digest) = (mark, digest)
    }
  }

  // MARK: Sessions

  private func store(_ record: SessionRecord) throws(SQLFault) {
    let place = [Self.value(record.session), Self.value(record.sequence)]
    if let bytes = record.bytes {
      try connection.run(
        "REPLACE INTO lockstep_sessions VALUES (?, ?, ?)", place + [.with { $0.blob = Data(bytes) }])
    } else if record.sequence == 0 {
      try connection.run("DELETE FROM lockstep_sessions WHERE session = ?", [place[0]])
    } else {
      try connection.run("DELETE FROM lockstep_sessions WHERE session = ? AND sequence = ?", place)
    }
  }

  private static func value(_ number: UInt64) -> Lockstep_Sql_V1_Value {
    .with { $0.integer = Int64(bitPattern: number) }
  }

  func sessionRecords() throws(StoredMachineFailure) -> [SessionRecord] {
    try stored { () throws(SQLFault) in
      var records: [SessionRecord] = []
      try connection.forEach("SELECT session, sequence, record FROM lockstep_sessions ORDER BY session, sequence") {
        records.append(
          SessionRecord(
            session: UInt64(bitPattern: $0.integer(0)), sequence: UInt64(bitPattern: $0.integer(1)), bytes: $0.bytes(2)
          ))
      }
      return records
    }
  }

  // MARK: Beside the commands

  func freeze() throws(StoredMachineFailure) -> any Snapshot {
    let copy = files.copy(copies.add(1, ordering: .relaxed).newValue)
    let database = files.database
    return try stored { () throws(SQLFault) in try FrozenDatabase(database, copy: copy) }
  }

  func makeReader() throws(StoredMachineFailure) -> any StoredStateReader {
    let database = files.database
    return try stored { () throws(SQLFault) in try SQLReader(database) }
  }

  func close() { connection.close() }
}
