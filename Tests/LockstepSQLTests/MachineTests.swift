import Foundation
import LockstepConsensus
import LockstepExecution
import LockstepRequests
import SwiftProtobuf
import Testing

@testable import LockstepSQL

/// One machine on its disk, and the log that it is given.
final class Machine {
  let path: String
  let state: any StoredState
  let executor: StoredExecutor

  init(_ path: String, limits: SessionLimits = .usual) throws {
    self.path = path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    state = try SQLMachine().open(path)
    executor = try StoredExecutor(group: .first, state: state, limits: limits)
  }

  struct Entry {
    var sql: [String] = []
    var kind = EntryKind.command
    var session: UInt64 = 0
    var sequence: UInt64 = 0
    var sessionCall: SessionCall?
  }

  var last: UInt64 { executor.mark.last.index.rawValue }

  /// Entries right behind the last one, in one batch.
  @discardableResult
  func apply(_ entries: [Entry]) throws -> [Replies.Reply?] {
    let method = Array("lockstep.sql.v1.Sql/Execute".utf8)
    let requests = try entries.map { entry -> [UInt8] in
      var request = Lockstep_Sql_V1_ExecuteRequest()
      request.statements = entry.sql.map { sql in
        var statement = Lockstep_Sql_V1_Statement()
        statement.sql = sql
        return statement
      }
      return try request.serializedBytes()
    }
    var bytes: [UInt8] = method
    var ranges: [Range<Int>] = []
    for request in requests {
      ranges.append(bytes.count..<bytes.count + request.count)
      bytes += request
    }
    let first = last + 1
    return try bytes.withUnsafeBytes { bytes in
      let list = entries.enumerated().map { offset, entry in
        Executor.Entry(
          id: EntryID(term: Term(2), index: LogIndex(first + UInt64(offset))), kind: entry.kind,
          timestamp: 1_700_000_000_000_000_000 + first + UInt64(offset), session: entry.session,
          sequence: entry.sequence,
          call: MethodCall(
            method: UnsafeRawBufferPointer(rebasing: bytes[0..<method.count]),
            request: UnsafeRawBufferPointer(rebasing: bytes[ranges[offset]])), sessionCall: entry.sessionCall)
      }
      return try executor.apply(list[...], repliesAreWanted: true).map(\.reply)
    }
  }

  @discardableResult
  func apply(_ sql: String...) throws -> [Replies.Reply?] { try apply(sql.map { Entry(sql: [$0]) }) }

  func query(_ sql: String) throws -> (rows: [String], mark: StoredMark) {
    let reader = try state.makeReader()
    let answer = try Self.query(reader, sql)
    return (try Self.rows(answer.result.get()), answer.mark)
  }

  static func query(
    _ reader: any StoredStateReader, _ sql: String, isLate: () -> Bool = { false }
  ) throws -> StoredAnswer {
    var request = Lockstep_Sql_V1_QueryRequest()
    request.sql = sql
    let bytes: [UInt8] = try request.serializedBytes()
    return try Array("lockstep.sql.v1.Sql/Query".utf8).withUnsafeBytes { method in
      try bytes.withUnsafeBytes { try reader.query(MethodCall(method: method, request: $0), isLate: isLate) }
    }
  }

  static func rows(_ reply: [UInt8]) throws -> [String] {
    try Lockstep_Sql_V1_QueryReply(serializedBytes: reply).rows.map { row in
      row.values.map { $0.listed }.joined(separator: "|")
    }
  }
}

@Suite("SQL: the machine")
struct MachineTests {
  @Test("rows, mark, digest and time are there again when it is opened again")
  func reopened() throws {
    let directory = try TemporaryDirectory()
    let first = try Machine(directory.path)
    try first.apply("CREATE TABLE t(a)", "INSERT INTO t VALUES (1), (2)")
    try first.apply([.init(kind: .noOperation), .init(sql: ["INSERT INTO t VALUES (3)"])])
    let (mark, digest) = (first.state.mark, first.state.digest)
    #expect(mark.last == EntryID(term: Term(2), index: LogIndex(4)) && mark.time == 1_700_000_000_000_000_004)
    first.state.close()
    let second = try Machine(directory.path)
    defer { second.state.close() }
    #expect(second.state.mark == mark && second.state.digest == digest && second.last == 4)
    #expect(try second.query("SELECT a FROM t ORDER BY a").rows == ["1", "2", "3"])
    try second.apply("INSERT INTO t VALUES (4)")
    #expect(second.state.mark.last.index == LogIndex(5) && second.state.digest != digest)
  }

  @Test("what was carried out and not stored is not there after a crash, and neither is its mark")
  func notStored() throws {
    let directory = try TemporaryDirectory()
    let machine = try Machine(directory.path)
    try machine.apply("CREATE TABLE t(a)")
    let before = machine.state.digest
    let method = Array("lockstep.sql.v1.Sql/Execute".utf8)
    var request = Lockstep_Sql_V1_ExecuteRequest()
    request.statements = [.init()]
    request.statements[0].sql = "INSERT INTO t VALUES (1)"
    let bytes: [UInt8] = try request.serializedBytes()
    try method.withUnsafeBytes { method in
      try bytes.withUnsafeBytes { bytes in
        let context = ApplyContext(group: .first, index: LogIndex(2), term: Term(2), time: 5, session: nil)
        var replies = Replies(count: 1)
        try machine.state.apply(
          CommandBatch([CommandBatch.Waiting(context: context, method: method, request: bytes)]), into: &replies)
        #expect(replies.all.count == 1)
      }
    }
    // As kill -9 leaves it: the files, and no connection that could put anything right.
    let copy = try TemporaryDirectory()
    try copyFiles(from: directory.path, to: copy.path)
    machine.state.close()
    let other = try Machine(copy.path)
    defer { other.state.close() }
    #expect(other.last == 1 && other.state.digest == before)
    #expect(try other.query("SELECT count(*) FROM t").rows == ["0"])
  }

  private func copyFiles(from: String, to: String) throws {
    for name in ["data.db", "data.db-wal"] where FileManager.default.fileExists(atPath: "\(from)/\(name)") {
      try? FileManager.default.removeItem(atPath: "\(to)/\(name)")
      try FileManager.default.copyItem(atPath: "\(from)/\(name)", toPath: "\(to)/\(name)")
    }
  }

  @Test("cut anywhere, the database has the rows of the entries up to its mark, and no others")
  func cut() throws {
    let directory = try TemporaryDirectory()
    let machine = try Machine(directory.path)
    try machine.apply("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
    for _ in 0..<12 {
      let next = machine.last + 1
      try machine.apply((next..<next + 3).map { .init(sql: ["INSERT INTO t VALUES (\($0), randomblob(700))"]) })
    }
    let copy = try TemporaryDirectory()
    try copyFiles(from: directory.path, to: copy.path)
    machine.state.close()
    let log = try Data(contentsOf: URL(fileURLWithPath: "\(copy.path)/data.db-wal"))
    try #require(log.count > 40_000)
    var marks: [UInt64] = []
    for length in Array(stride(from: 0, to: log.count, by: 1024)) + [log.count] {
      let cut = try TemporaryDirectory()
      try copyFiles(from: copy.path, to: cut.path)
      try log.prefix(length).write(to: URL(fileURLWithPath: "\(cut.path)/data.db-wal"))
      let found = try Machine(cut.path)
      defer { found.state.close() }
      marks.append(found.last)
      guard found.last > 1 else { continue }
      #expect(
        try found.query("SELECT count(*), coalesce(max(a), 1), count(*) FILTER (WHERE a < 2) FROM t").rows
          == ["\(found.last - 1)|\(found.last)|0"])
    }
    #expect(marks == marks.sorted() && marks.first == 0 && marks.last == 37 && Set(marks).count >= 13)
  }

  @Test("a session's command is carried out once, also when the machine was opened again in between")
  func sessions() throws {
    let directory = try TemporaryDirectory()
    let limits = SessionLimits(records: 64)
    let first = try Machine(directory.path, limits: limits)
    try first.apply("CREATE TABLE t(a)")
    try first.apply([.init(kind: .session, sessionCall: .open(patienceMilliseconds: 0))])
    let insert = Machine.Entry(sql: ["INSERT INTO t VALUES (random()) RETURNING a"], session: 2, sequence: 1)
    let wrong = Machine.Entry(sql: ["INSERT INTO missing VALUES (1)"], session: 2, sequence: 2)
    let replies = try first.apply([insert, insert, wrong])
    #expect(replies[0] != nil && replies[0] == replies[1])
    for number in 3...80 as ClosedRange<UInt64> {
      try first.apply([.init(sql: ["SELECT \(number)"], session: 2, sequence: number)])
    }
    let digest = first.executor.digest
    #expect(digest != first.state.digest)
    first.state.close()
    let second = try Machine(directory.path, limits: limits)
    defer { second.state.close() }
    #expect(second.executor.digest == digest, "what is stored of the sessions is what was there")
    let known = try second.apply([.init(sql: ["SELECT 80"], session: 2, sequence: 80)])
    let another = try second.apply([.init(sql: ["INSERT INTO t VALUES (1)"], session: 2, sequence: 80)])
    guard case .failure(let status) = another[0], status.code == .invalidArgument else {
      Issue.record("another request under a sequence: \(another)")
      return
    }
    let old = try second.apply([insert, wrong, .init(sql: ["SELECT 1"], session: 9, sequence: 1)])
    guard case .success = known[0] else {
      Issue.record("what was answered is answered again, and not carried out: \(known)")
      return
    }
    for reply in old {
      guard case .failure(let status) = reply, status.code == .failedPrecondition else {
        Issue.record("\(String(describing: reply))")
        continue
      }
    }
    #expect(try second.query("SELECT count(*) FROM t").rows == ["1"])
  }

  static let partlyDone = [
    "INSERT OR FAIL INTO t VALUES (7), (1), (8)", "INSERT INTO u VALUES (7), (1), (8)",
    "UPDATE OR FAIL t SET a = a % 2 + 4 WHERE a < 4", "INSERT INTO t(rowid, a) VALUES (9223372036854775807, 7)",
    "INSERT INTO t SELECT 10 + value FROM generated, noted WHERE value < 3 UNION ALL SELECT 1",
    "INSERT INTO t VALUES (9) RETURNING zeroblob(800000)",
  ]

  @Test(
    "a call that is refused when part of it is done leaves nothing, and what stands beside it in its batch stays",
    arguments: partlyDone)
  func halfDone(sql: String) throws {
    let (directory, other) = (try TemporaryDirectory(), try TemporaryDirectory())
    let (machine, single) = (try Machine(directory.path), try Machine(other.path))
    defer {
      machine.state.close()
      single.state.close()
    }
    let schema = [
      "CREATE TABLE t(a UNIQUE)", "CREATE TABLE u(a UNIQUE ON CONFLICT FAIL)", "CREATE TABLE generated(value)",
      "CREATE TABLE noted(a)", "INSERT INTO t VALUES (1), (2), (3)", "INSERT INTO u VALUES (1)",
      "INSERT INTO generated VALUES (1), (2)", "INSERT INTO noted VALUES (1)",
    ]
    for word in schema {
      try machine.apply(word)
      try single.apply(word)
    }
    let calls = ["INSERT INTO t VALUES (100)", sql, "INSERT INTO t VALUES (101)", sql, "INSERT INTO t VALUES (102)"]
    let replies = try machine.apply(calls.map { .init(sql: [$0]) })
    let codes = replies.map { reply in if case .failure(let status)? = reply { status.code } else { CallStatus.Code.ok }
    }
    #expect(
      codes[0] == .ok && codes[2] == .ok && codes[4] == .ok && codes[1] != .ok && codes[3] == codes[1], "\(codes)")
    #expect(try machine.query("SELECT a FROM t ORDER BY a").rows == ["1", "2", "3", "100", "101", "102"])
    #expect(try machine.query("SELECT a FROM u").rows == ["1"])
    // However the log is divided, and whatever was tried on the way.
    for call in calls { try single.apply(call) }
    #expect(single.state.digest == machine.state.digest)
  }

  @Test("nor does one that a trigger has refused when part of it was done")
  func halfDoneByTrigger() throws {
    let directory = try TemporaryDirectory()
    let machine = try Machine(directory.path)
    defer { machine.state.close() }
    try machine.apply(
      "CREATE TABLE t(a)", "CREATE TABLE noted(a)",
      "CREATE TRIGGER r AFTER INSERT ON t WHEN new.a > 5 BEGIN INSERT INTO noted VALUES (new.a); SELECT RAISE(FAIL, 'too large'); END",
      "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2), (9), (3)")
    #expect(try machine.query("SELECT a FROM t").rows == ["1"])
    #expect(try machine.query("SELECT a FROM noted").rows == [])
    try machine.apply("DROP TRIGGER r", "INSERT INTO t VALUES (2), (9), (3)")
    #expect(try machine.query("SELECT a FROM t ORDER BY a").rows == ["1", "2", "3", "9"])
  }

  @Test("a snapshot is of the moment it was frozen at, and gives an equal machine with its sessions")
  func snapshot() throws {
    let (directory, other) = (try TemporaryDirectory(), try TemporaryDirectory())
    let machine = try Machine(directory.path)
    defer { machine.state.close() }
    try machine.apply("CREATE TABLE t(a, b)", "CREATE INDEX i ON t(b)")
    try machine.apply([
      .init(kind: .session, sessionCall: .open(patienceMilliseconds: 0)),
      .init(sql: ["INSERT INTO t VALUES (7, random())"], session: 3, sequence: 1),
    ])
    for _ in 0..<20 { try machine.apply("INSERT INTO t VALUES (1, randomblob(9000))") }
    let frozen = try machine.state.freeze()
    let (mark, digest) = (machine.state.mark, machine.state.digest)
    let rows = try machine.query("SELECT hex(b) FROM t ORDER BY rowid").rows
    try machine.apply("DELETE FROM t", "DROP INDEX i")
    var bytes: [[UInt8]] = []
    for maximum in [1 << 16, 1 << 20] {
      var copy = frozen
      var all: [UInt8] = []
      while let piece = try copy.next(maximumBytes: maximum) {
        #expect(!piece.isEmpty && piece.count <= maximum)
        all += piece
      }
      bytes.append(all)
    }
    #expect(bytes[0] == bytes[1])
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
        == ["data.db", "data.db-shm", "data.db-wal"])
    var reader = SnapshotReader(frozen, version: 1)
    try SQLMachine().restore(other.path, from: &reader)
    let restored = try Machine(other.path)
    defer { restored.state.close() }
    #expect(restored.state.mark == mark && restored.state.digest == digest)
    #expect(try restored.query("SELECT hex(b) FROM t ORDER BY rowid").rows == rows)
    #expect(try restored.query("SELECT name FROM sqlite_schema WHERE name = 'i'").rows == ["i"])
    try restored.apply([.init(sql: ["INSERT INTO t VALUES (8, 8)"], session: 3, sequence: 1)])
    #expect(try restored.query("SELECT count(*) FROM t WHERE a = 8").rows == ["0"], "it was answered before")
  }

  @Test("a snapshot that is cut or goes on is refused as damaged, one over a database as not to be done")
  func brokenSnapshot() throws {
    let directory = try TemporaryDirectory()
    let machine = try Machine(directory.path)
    defer { machine.state.close() }
    try machine.apply("CREATE TABLE t(a)")
    var frozen = try machine.state.freeze()
    var bytes: [UInt8] = []
    while let piece = try frozen.next(maximumBytes: 1 << 16) { bytes += piece }
    func restore(_ content: [UInt8], in directory: String) -> StoredMachineFailure? {
      var rest: [UInt8]? = content
      var reader = SnapshotReader("it", version: 1) { () throws(CallStatus) -> [UInt8]? in
        defer { rest = nil }
        return rest?.isEmpty == true ? nil : rest
      }
      return #expect(throws: StoredMachineFailure.self) { try SQLMachine().restore(directory, from: &reader) }
    }
    for wrong in [Array(bytes.dropLast()), bytes + [0], [], [0xff, 0xff]] {
      let other = try TemporaryDirectory()
      #expect(restore(wrong, in: other.path)?.kind == .damaged)
    }
    #expect(restore(bytes, in: directory.path)?.kind == .storage)
    #expect(try machine.query("SELECT count(*) FROM t").rows == ["0"])
  }

  @Test("queries see one state with its index, while commands go on; they change nothing, and end in time")
  func queries() throws {
    let directory = try TemporaryDirectory()
    let machine = try Machine(directory.path)
    defer { machine.state.close() }
    try machine.apply("CREATE TABLE t(a)")
    let reader = try machine.state.makeReader()
    for number in 1...20 as ClosedRange<UInt64> {
      try machine.apply("INSERT INTO t VALUES (\(number))")
      let answer = try Machine.query(reader, "SELECT count(*) FROM t")
      #expect(try Machine.rows(answer.result.get()) == ["\(number)"])
      #expect(answer.mark.last == EntryID(term: Term(2), index: LogIndex(number + 1)))
    }
    for (sql, words) in [
      ("INSERT INTO t VALUES (1)", "would change"), ("CREATE TABLE u(a)", "would change"), ("BEGIN", "BEGIN"),
      ("ATTACH 'x' AS y", "ATTACH"), ("PRAGMA journal_mode = DELETE", "PRAGMA"), ("SELECT 1; SELECT 2", "another"),
      ("SELECT * FROM lockstep_sessions", "lockstep_sessions"), ("SELECT load_extension('x')", "load_extension"),
      ("SELECT missing", "no such column"), ("", "empty"),
    ] {
      let answer = try Machine.query(reader, sql)
      guard case .failure(let status) = answer.result else {
        Issue.record("\(sql) was answered")
        continue
      }
      #expect(status.code == .invalidArgument && status.message.contains(words), "\(status)")
    }
    #expect(try Machine.rows(Machine.query(reader, "PRAGMA table_info(t)").result.get()) == ["0|a||0||0"])
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    var asked = 0
    let late = try Machine.query(reader, endless) {
      asked += 1
      return asked > 3
    }
    #expect(late.result == .failure(CallStatus(.deadlineExceeded, "the query was not answered in time")))
    #expect(try Machine.rows(Machine.query(reader, "SELECT count(*) FROM t").result.get()) == ["20"])
  }

  @Test("a database that is damaged is named, and never taken for an empty one")
  func damaged() throws {
    let directory = try TemporaryDirectory()
    let machine = try Machine(directory.path)
    try machine.apply("CREATE TABLE t(a)")
    machine.state.close()
    try Data(repeating: 0x5a, count: 8192).write(to: URL(fileURLWithPath: "\(directory.path)/data.db"))
    let failure = #expect(throws: StoredMachineFailure.self) { try Machine(directory.path) }
    #expect(failure?.kind == .damaged && failure?.message.contains("data.db") == true)
  }

  @Test("requests that are none are refused before they reach the log")
  func validation() throws {
    func refusal(_ method: String, _ request: [UInt8]) -> CallStatus? {
      let name = Array("lockstep.sql.v1.Sql/\(method)".utf8)
      return name.withUnsafeBytes { method in
        request.withUnsafeBytes { request in
          do throws(CallStatus) { try SQLMachine().validate(MethodCall(method: method, request: request)) } catch {
            return error
          }
          return nil
        }
      }
    }
    #expect(refusal("Execute", [0xff])?.code == .invalidArgument)
    #expect(refusal("Execute", [])?.message == "there is no statement to carry out")
    #expect(refusal("Query", [0xff])?.code == .invalidArgument)
    var request = Lockstep_Sql_V1_ExecuteRequest()
    request.statements = [.init(), .init()]
    request.statements[0].sql = "SELECT 1"
    request.statements[1].sql = "PRAGMA user_version"
    let bytes: [UInt8] = try request.serializedBytes()
    #expect(refusal("Execute", bytes)?.message.hasPrefix("statement 2: PRAGMA") == true)
  }
}
