import LockstepConsensus
import LockstepExecution
import LockstepServices
import SwiftProtobuf

/// One replica without its log: commands are applied as entries of session 0 from index 1 on.
struct Replica {
  private(set) var executor: Executor
  private(set) var log: [(method: String, request: [UInt8])] = []
  private(set) var replies: [Replies.Reply] = []

  init(_ services: any ReplicatedService.Type...) throws {
    executor = Executor(group: .first, machine: try ServiceMachine(services: services))
  }

  var machine: any StateMachine { executor.machine }
  var digest: UInt64 { machine.digest }

  /// Replies of commands on raw bytes, as one batch.
  @discardableResult
  mutating func apply(
    _ commands: [(method: String, request: [UInt8])], repliesAreWanted: Bool = true
  ) -> [Replies.Reply] {
    log += commands
    let names = commands.map { Array($0.method.utf8) }
    var entries: [Executor.Entry] = []
    for (place, command) in commands.enumerated() {
      let index = executor.applied.advanced(by: place + 1)
      entries.append(
        Executor.Entry(
          id: EntryID(term: Term(1), index: index), kind: .command, timestamp: index.rawValue, session: 0, sequence: 0,
          // The arrays outlive the call below, and their bytes do not move.
          call: MethodCall(method: names[place].withUnsafeBytes { $0 }, request: command.request.withUnsafeBytes { $0 })
        ))
    }
    var replies: [Replies.Reply] = []
    withExtendedLifetime((names, commands)) {
      executor.apply(entries[...], repliesAreWanted: repliesAreWanted) { _, reply in
        if let reply { replies.append(reply) }
      }
    }
    self.replies += replies
    return replies
  }

  mutating func command<Reply: SwiftProtobuf.Message>(
    _ method: String, _ request: some SwiftProtobuf.Message, _: Reply.Type = Reply.self
  ) throws -> Reply {
    switch apply([(method, try request.serializedBytes())])[0] {
    case .success(let bytes): return try Reply(serializedBytes: bytes)
    case .failure(let status): throw status
    }
  }

  func query<Reply: SwiftProtobuf.Message>(
    _ method: String, _ request: some SwiftProtobuf.Message, _: Reply.Type = Reply.self
  ) throws -> Reply {
    var executor = executor
    return try Reply(
      serializedBytes: withCall(method, try request.serializedBytes()) { call throws(CallStatus) in
        try executor.query(call)
      })
  }

  func validate(_ method: String, _ request: [UInt8]) throws {
    try withCall(method, request) { call throws(CallStatus) in try executor.machine.validate(call) }
  }

  func kind(_ method: String) -> MethodKind? {
    Array(method.utf8).withUnsafeBytes { machine.kind(ofMethod: $0.bytes) }
  }

  func snapshot() throws -> [UInt8] { try machine.freeze().bytes() }

  private func withCall<Result>(
    _ method: String, _ request: [UInt8], _ body: (MethodCall) throws(CallStatus) -> Result
  ) throws -> Result {
    try Array(method.utf8).withUnsafeBytes { method in
      try request.withUnsafeBytes { try body(MethodCall(method: method, request: $0)) }
    }
  }
}

extension StateMachine {
  /// The digest of what comes back from a snapshot that arrives in pieces of this length.
  func digestRestored(from snapshot: [UInt8], pieces: Int = 1000) throws(CallStatus) -> UInt64 {
    var reader = SnapshotReader(snapshot, pieces: pieces, version: version)
    let restored = try restored(from: &reader)
    try reader.end()
    return restored.digest
  }
}

extension Snapshot {
  /// All of it, taken in pieces of at most this length.
  func bytes(pieces: Int = 1000) throws(CallStatus) -> [UInt8] {
    var snapshot = self
    var bytes: [UInt8] = []
    while let piece = try snapshot.next(maximumBytes: pieces) {
      guard (1...pieces).contains(piece.count) else { throw CallStatus(.internal, "a piece of \(piece.count) bytes") }
      bytes += piece
    }
    return bytes
  }
}

extension SnapshotReader {
  /// Bytes that arrive in pieces of this length.
  init(_ bytes: [UInt8], pieces: Int, version: UInt32 = 1) {
    var rest = bytes[...]
    self.init("the snapshot", version: version) { () throws(CallStatus) -> [UInt8]? in
      let piece = Array(rest.prefix(pieces))
      rest = rest.dropFirst(pieces)
      return piece.isEmpty ? nil : piece
    }
  }
}
