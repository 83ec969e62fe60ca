/// What is replicated: a value that changes only by commands, in the order of the log, and depends on nothing else.
///
/// This is the plain form, on bytes. `ReplicatedService` in `LockstepServices` puts protobuf messages on top of it.
///
/// A node is given the machine as it is before the first command. Because machines are values, a copy of that one
/// starts every group, and makes the machine that a snapshot is restored to.
public protocol StateMachine: Sendable {
  /// Carries out consecutive commands in order, and answers each through `replies`. Total: whatever the bytes are, it
  /// returns; a failure is a reply. Must not look at clocks, random sources, the order of a Set or Dictionary, or
  /// anything outside `self` and the batch.
  mutating func apply(_ batch: CommandBatch, into replies: inout Replies)

  /// Answers a query from the state as it is.
  func query(_ call: MethodCall, _ context: QueryContext) throws(CallStatus) -> [UInt8]

  /// Whether this query may take long, by its method or by what it asks for: it is then answered on another thread, from a
  /// copy of the state, while commands go on. By default none is.
  func isLong(_ query: MethodCall) -> Bool

  /// Is this a call that the machine could carry out? Asked before a command is put into the log, so that bytes that
  /// mean nothing never reach it.
  func validate(_ call: MethodCall) throws(CallStatus)

  /// Command, query, or no method of this machine.
  func kind(ofMethod method: RawSpan) -> MethodKind?

  /// The state as it is, to be read on another thread while commands go on. Called between two batches, so it may not
  /// take longer for a larger state: because machines are values, a copy is enough (copy-on-write collections make it
  /// O(1)), and `EncodedSnapshot` makes a snapshot of one.
  func freeze() -> any Snapshot

  /// A machine of this kind whose state is what the snapshot says and nothing else: asked of the machine as it was
  /// before the first command, and a new value, so that old state cannot leak into the new. Throws `dataLoss` when the
  /// bytes are no snapshot; whoever calls sees to it that nothing follows them. `snapshot.version` is at most `version`.
  func restored(from snapshot: inout SnapshotReader) throws(CallStatus) -> Self

  /// Of the rules by which commands change the state: to be raised when the same commands lead to another state, or the
  /// snapshot has another form. A snapshot of a later version is refused before it is read.
  var version: UInt32 { get }

  /// A number that is equal when, and for practical purposes only when, the state is. Replicas are compared by it.
  var digest: UInt64 { get }

  /// What the machine offers, for reflection: a descriptor set per service.
  var schemas: [Schema] { get }

  /// What it gives to a call of a method of kind `stream`. Throws when it could not carry it out. By default there is no
  /// such method.
  func stream(_ call: MethodCall) throws(CallStatus) -> MachineStream
}

extension StateMachine {
  /// Throws `unimplemented`: a machine has no streams unless it says so.
  public func stream(_ call: MethodCall) throws(CallStatus) -> MachineStream {
    throw CallStatus(.unimplemented, "the machine has no method that answers with a stream")
  }

  /// False: no query is long unless the machine says so.
  public func isLong(_ query: MethodCall) -> Bool { false }
}

/// How a method is carried out.
public enum MethodKind: Sendable, Hashable {
  /// Goes through the log.
  case command
  /// Never does (`option idempotency_level = NO_SIDE_EFFECTS`).
  case query
  /// A query that answers with a stream: of changes, and of the state if it is asked for.
  case stream
}

/// A service's description: its full name, and a serialized `google.protobuf.FileDescriptorSet` with its imports, as
/// `protoc --include_imports --descriptor_set_out=FILE` writes it.
public struct Schema: Sendable, Hashable {
  /// The service's full name: "package.Service".
  public let name: String
  /// The serialized `FileDescriptorSet`, with all imports.
  public let descriptorSet: [UInt8]

  /// Keeps both as they are: nothing is checked here.
  public init(name: String, descriptorSet: [UInt8]) {
    self.name = name
    self.descriptorSet = descriptorSet
  }
}
