import Glibc
import Lockstep
import LockstepRequests
import LockstepSQL
import SwiftProtobuf

/// The prompt and the pipe: reads statements and dot commands, and carries out one after the other.
final class SQLShell {
  private let client: LockstepClient
  private let options: CallOptions
  private var writer = SQLRowWriter()
  private var stopsAtError = false
  private var hasEnded = false
  private(set) var hasFailed = false
  /// Commands that have been read and not sent, from a pipe that has more to read: sent together, they share the way to the
  /// cluster and its disks. Each is a transaction of its own all the same.
  private var gathered: [(sql: String, place: String)] = []
  private static let atOnce = 64
  /// Files that are read, one by another.
  private var depth = 0

  init(_ client: LockstepClient, _ options: CallOptions) {
    self.client = client
    self.options = options
  }

  private static let help = """
    .bail on|off          stop at the first error
    .exit, .quit          end
    .headers on|off       column names before the rows
    .mode MODE            list, csv, json or table
    .read FILE            carry out what is in a file
    .schema [TABLE]       the statements that made the tables
    .tables               their names

    """

  func run(isPrompting: Bool) async {
    if isPrompting { Output.error("Replicated SQLite. Statements end with a semicolon; .help lists other commands.") }
    await run(isPrompting: isPrompting, isMore: Self.inputIsReady) { readLine(strippingNewline: true) }
  }

  /// Reading would not wait.
  private static func inputIsReady() -> Bool {
    var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
    return poll(&input, 1, 0) > 0
  }

  private func run(isPrompting: Bool, isMore: () -> Bool, _ next: () -> String?) async {
    var script = SQLScript()
    while !hasEnded {
      if isPrompting { Output.write(script.isWithin ? "     ...> " : "lockstep> ", to: STDERR_FILENO) }
      guard let line = next() else { break }
      await carryOut(script.add(line))
      if isPrompting || stopsAtError || gathered.count >= Self.atOnce || !isMore() { await send() }
    }
    if !hasEnded { await carryOut(script.end()) }
    await send()
  }

  private func carryOut(_ pieces: [SQLScript.Piece]) async {
    for piece in pieces where !hasEnded {
      switch piece {
      case .statement(let sql, let line):
        if SQLText.isQuery(sql) || stopsAtError {
          await send()
          await carryOut(sql, "near line \(line): ")
        } else {
          gathered.append((sql, "near line \(line): "))
        }
      case .command(let text):
        await send()
        await command(text.split(separator: " ").map(String.init))
      }
    }
  }

  private func fail(_ message: String) {
    Output.error("Error: \(message)")
    hasFailed = true
    if stopsAtError { hasEnded = true }
  }

  private func carryOut(_ sql: String, _ place: String) async {
    do {
      if SQLText.isQuery(sql) {
        var request = Lockstep_Sql_V1_QueryRequest()
        request.sql = sql
        let reply = try await call("Query", request, Lockstep_Sql_V1_QueryReply.self)
        show(reply.columns, reply.rows)
      } else {
        try show(await call("Execute", Self.execute(sql), Lockstep_Sql_V1_ExecuteReply.self))
      }
    } catch let failure as CallFailure { fail(failure, place) } catch { fail("\(place)\(error)") }
  }

  private func fail(_ failure: CallFailure, _ place: String) {
    // What was refused by the database was refused for good; of everything else it matters whether it is there.
    let isOpen = failure.applied == .unknown ? "; whether it was carried out is not known" : ""
    fail("\(place)\(failure.status.message)\(isOpen)")
  }

  private static func execute(_ sql: String) -> Lockstep_Sql_V1_ExecuteRequest {
    var request = Lockstep_Sql_V1_ExecuteRequest()
    request.statements = [.with { $0.sql = sql }]
    return request
  }

  private func send() async {
    let commands = gathered
    gathered = []
    guard commands.count > 1 else {
      for command in commands { await carryOut(command.sql, command.place) }
      return
    }
    do {
      let requests: [[UInt8]] = try commands.map { try Self.execute($0.sql).serializedBytes() }
      let outcomes = try await client.batch("lockstep.sql.v1.Sql/Execute", requests, options: options)
      for (command, outcome) in zip(commands, outcomes) {
        switch outcome {
        case .success(let reply): try show(Lockstep_Sql_V1_ExecuteReply(serializedBytes: reply.payload))
        case .failure(let failure): fail(failure, command.place)
        }
      }
    } catch let failure as CallFailure where failure.applied == .no {
      // One of them would be refused before it reaches the log, and all with it: each by itself, then.
      for command in commands { await carryOut(command.sql, command.place) }
    } catch let failure as CallFailure { fail(failure, commands[0].place) } catch { fail("\(error)") }
  }

  private func show(_ reply: Lockstep_Sql_V1_ExecuteReply) {
    for result in reply.results { show(result.columns, result.rows) }
  }

  private func call<Reply: SwiftProtobuf.Message>(
    _ method: String, _ request: some SwiftProtobuf.Message, _: Reply.Type
  ) async throws -> Reply {
    let bytes: [UInt8] = try request.serializedBytes()
    let reply = try await client.call("lockstep.sql.v1.Sql/\(method)", bytes, options: options)
    return try Reply(serializedBytes: reply.payload)
  }

  private func show(_ columns: [Lockstep_Sql_V1_Column], _ rows: [Lockstep_Sql_V1_Row]) {
    if !Output.write(writer.text(columns, rows)) { hasEnded = true }
  }

  private func command(_ words: [String]) async {
    switch (words[0], words.dropFirst().first) {
    case (".exit", _), (".quit", _): hasEnded = true
    case (".help", _): Output.write(Self.help)
    case (".bail", "on"), (".bail", "off"): stopsAtError = words[1] == "on"
    case (".headers", "on"), (".headers", "off"), (".header", "on"), (".header", "off"):
      writer.showsHeaders = words[1] == "on"
    case (".mode", let name?):
      guard let mode = SQLMode(rawValue: name) else {
        return fail("there is no mode '\(name)'; there are \(SQLMode.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      writer.mode = mode
    case (".read", let path?): await read(path)
    case (".tables", _):
      await list(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND \(Self.isTheirs) ORDER BY name")
    case (".schema", let table):
      let condition = table.map { " AND lower(tbl_name) = lower('\($0.replacing("'", with: "''"))')" } ?? ""
      await list(
        "SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL AND \(Self.isTheirs)\(condition) ORDER BY rowid")
    default: fail("unknown command or missing argument: '\(words.joined(separator: " "))'; .help lists what there is")
    }
  }

  /// Neither SQLite's own nor the replication's.
  private static let isTheirs = "name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'lockstep\\_%' ESCAPE '\\'"

  /// Whatever the mode.
  private func list(_ sql: String) async {
    let former = writer
    writer = SQLRowWriter()
    await carryOut(sql, "")
    writer = former
  }

  private func read(_ path: String) async {
    guard depth < 16 else { return fail("'\(path)': files that read each other have no end") }
    guard let file = fopen(path, "r") else { return fail("'\(path)' cannot be read: \(systemMessage(errno))") }
    depth += 1
    defer {
      depth -= 1
      fclose(file)
    }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    await run(isPrompting: false, isMore: { true }) {
      var count = getline(&line, &capacity, file)
      guard count >= 0, let line else { return nil }
      if count > 0, line[count - 1] == CChar(UInt8(ascii: "\n")) { count -= 1 }
      return String(decoding: UnsafeRawBufferPointer(start: line, count: count), as: UTF8.self)
    }
  }
}
