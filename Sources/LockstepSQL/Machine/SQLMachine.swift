import Glibc
internal import GRDBSQLite
public import LockstepExecution
import LockstepRequests
import LockstepServices
import SwiftProtobuf

/// Replicated SQLite: the service `lockstep.sql.v1.Sql` over a database file on each node.
///
/// ```swift
/// @main struct Node {
///   static func main() async { await NodeCommand.run(stored: SQLMachine()) }
/// }
/// ```
public struct SQLMachine: StoredMachine {
  /// The service `lockstep.sql.v1.Sql`, with the descriptors of its messages.
  public static let schema = Schema(name: "lockstep.sql.v1.Sql", descriptorSet: PackageResources.sql_descriptor)

  private let texts = CheckedTexts()

  /// Touches no file: `open` is given the directory of the database.
  public init() {}

  /// The version of the rules by which statements change the database, and of the snapshot's form: 1.
  public var version: UInt32 { 1 }
  /// The one service: `schema`.
  public var schemas: [Schema] { [Self.schema] }
  /// The library's name and version, as in "SQLite 3.40.1".
  public var environment: String { "SQLite \(String(cString: sqlite3_libversion()))" }

  private static let execute = Array("lockstep.sql.v1.Sql/Execute".utf8)
  private static let query = Array("lockstep.sql.v1.Sql/Query".utf8)

  /// `Execute` is a command and `Query` a query, by their full names; nil for any other name.
  public func kind(ofMethod method: RawSpan) -> MethodKind? { Self.kind(method) }

  static func kind(_ method: RawSpan) -> MethodKind? {
    method.withUnsafeBytes { name in
      if name.elementsEqual(execute) { return .command }
      return name.elementsEqual(query) ? .query : nil
    }
  }

  /// Checks that the request decodes and, of an `Execute`, what its text alone tells: 1 to 1,000 statements, none of
  /// them empty, and none with words that are refused. Throws `invalidArgument`. What else is wrong, SQLite says later.
  public func validate(_ call: MethodCall) throws(CallStatus) {
    if kind(ofMethod: call.method) == .query {
      _ = try decoded(Lockstep_Sql_V1_QueryRequest.self, call.request)
    } else {
      let request = try decoded(Lockstep_Sql_V1_ExecuteRequest.self, call.request)
      try Execution.check(request, isKnown: texts.contains)
      texts.insert(request.statements)
    }
  }

  /// The bytes of a message that has no maps, and so one form alone.
  static func bytes(of reply: some SwiftProtobuf.Message) throws(CallStatus) -> [UInt8] {
    do { return try reply.serializedBytes() } catch {
      throw CallStatus(.internal, "the reply could not be encoded: \(error)")
    }
  }

  /// Opens the database in this directory, or makes it, after copies that a crash has left are removed. The failure is
  /// `damaged` when the file is not what SQLite has written, and `storage` otherwise.
  public func open(_ directory: String) throws(StoredMachineFailure) -> any StoredState {
    try SQLFiles(directory).clear()
    return try SQLState(directory)
  }

  /// Makes the database file of a snapshot's bytes; it is synced when this returns, and was not opened. The failure is
  /// `damaged` when the bytes are no snapshot, and `storage` when they could not be written or read.
  public func restore(_ directory: String, from snapshot: inout SnapshotReader) throws(StoredMachineFailure) {
    try SQLFiles(directory).restore(from: &snapshot)
  }
}
