import Glibc
import Lockstep
import LockstepRequests
import LockstepSQL
import SwiftProtobuf

/// The prompt and the pipe: reads statements and dot commands, and carries out one after the other.
final class SQLShell {
  private let client: Client
  private let options: CallOptions
  private var writer = SQLRowWriter()
  private var stopsAtError = false
  private var hasEnded = false
  private(set) var hasFailed = false
  /// Files that are read, one by another.
  private var depth = 0

  init(_ client: Client, _ options: CallOptions) {
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
    await run(isPrompting: isPrompting) { readLine(strippingNewline: true) }
  }

  private func run(isPrompting: Bool, _ next: () -> String?) async {
    var script = SQLScript()
    while !hasEnded {
      if isPrompting { Output.write(script.isWithin ? "     ...> " : "lockstep> ", to: STDERR_FILENO) }
      guard let line = next() else { break }
      await carryOut(script.add(line))
    }
    if !hasEnded { await carryOut(script.end()) }
  }

  private func carryOut(_ pieces: [SQLScript.Piece]) async {
    for piece in pieces where !hasEnded {
      switch piece {
      case .statement(let sql, let line): await carryOut(sql, "near line \(line): ")
      case .command(let text): await command(text.split(separator: " ").map(String.init))
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
        var request = Lockstep_Sql_V1_ExecuteRequest()
        request.statements = [.with { $0.sql = sql }]
        for result in try await call("Execute", request, Lockstep_Sql_V1_ExecuteReply.self).results {
          show(result.columns, result.rows)
        }
      }
    } catch let failure as CallFailure {
      let applied = failure.applied == .no || failure.status.code.rawValue == 0 ? "" : " (applied: \(failure.applied))"
      fail("\(place)\(failure.status.message)\(applied)")
    } catch { fail("\(place)\(error)") }
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
    await run(isPrompting: false) {
      var count = getline(&line, &capacity, file)
      guard count >= 0, let line else { return nil }
      if count > 0, line[count - 1] == CChar(UInt8(ascii: "\n")) { count -= 1 }
      return String(decoding: UnsafeRawBufferPointer(start: line, count: count), as: UTF8.self)
    }
  }
}
