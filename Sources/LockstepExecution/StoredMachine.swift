public import LockstepConsensus
public import LockstepRequests

/// What is replicated when it lies on a disk of its own: the second tier beside `StateMachine`, for a state that is larger
/// than the memory, or that another library keeps.
///
/// This is the description, which any thread may ask; `open` gives the machine itself. The rules are those of every
/// machine: what a command does follows from the state, the request and the context alone. On top of them:
///
/// - **The state knows how far it is.** With each change `StoredState.commit` stores the mark of the last entry that is in
///   it, and the sessions' records: all of it or nothing, whatever moment the process or the power ends. Nothing else of
///   durability is asked for: after a crash the state may be one of a while ago, and the log has the rest, as long as it
///   is exactly what it was at the mark that it says. It is given only entries that this node's log has on its disk.
/// - **Replies are recorded, failures are not.** What a command is refused for is a reply, the same on every replica. What
///   goes wrong with this replica's disk or memory is a `StoredMachineFailure`: the node ends, with an exit code of its
///   own, and nothing of the batch is answered.
public protocol StoredMachine: Sendable {
  /// Command, query, or no method of this machine.
  func kind(ofMethod method: RawSpan) -> MethodKind?

  /// Is this a call that the machine could carry out? Asked before a command is put into the log, on another thread than
  /// the machine's.
  func validate(_ call: MethodCall) throws(CallStatus)

  /// See `StateMachine.version`.
  var version: UInt32 { get }

  /// What the machine offers, for reflection: a descriptor set per service.
  var schemas: [Schema] { get }

  /// What decides over results besides the version: libraries with their versions, as in "SQLite 3.40.1". Nodes that differ
  /// say so when they meet.
  var environment: String { get }

  /// Opens what is in this directory, which exists and is the machine's alone; an empty one is the state before the first
  /// command. What a crash has left half done is put right here.
  func open(_ directory: String) throws(StoredMachineFailure) -> any StoredState

  /// Fills this directory, which exists, is empty, and is the machine's alone, with the state that a snapshot says; what is
  /// in the files is durable when this returns. After an error or a crash on the way it is removed.
  func restore(_ directory: String, from snapshot: inout SnapshotReader) throws(StoredMachineFailure)
}

/// A stored machine's state, open. Of one thread at a time.
public protocol StoredState: AnyObject {
  /// The last entry that is in it.
  var mark: StoredMark { get }

  /// As they were stored last, in order of their session and sequence.
  func sessionRecords() throws(StoredMachineFailure) -> [SessionRecord]

  /// See `StateMachine.digest`. As of the last `commit`.
  var digest: UInt64 { get }

  /// Carries out consecutive commands in order, and answers each. Each is followed by `commit`; what was not is not there
  /// after a crash.
  func apply(_ batch: CommandBatch, into replies: inout Replies) throws(StoredMachineFailure)

  /// Stores what `apply` did since the last commit, these changes of the sessions in their order, and the mark: all or
  /// nothing. Also called where no command was applied.
  func commit(_ mark: StoredMark, _ sessions: [SessionRecord]) throws(StoredMachineFailure)

  /// The state as of the last commit, to be read on another thread while commands go on. Called on any thread, while
  /// neither `apply` nor `commit` is under way; takes no longer for a larger state.
  func freeze() throws(StoredMachineFailure) -> any Snapshot

  /// One more way to ask, for another thread: queries do not wait for commands, nor commands for queries.
  func makeReader() throws(StoredMachineFailure) -> any StoredStateReader

  /// Nothing else is called after it; readers are gone before.
  func close()
}

/// Answers queries of a stored state. Of one thread at a time.
public protocol StoredStateReader: AnyObject {
  /// Answers from the state as it was committed last, or since; says as of which entry. `isLate` becomes true when nobody
  /// waits for the answer any more: to be asked now and then by what takes long.
  func query(_ call: MethodCall, isLate: () -> Bool) throws(StoredMachineFailure) -> StoredAnswer
}

/// The answer to a query, and the state that it was given from.
public struct StoredAnswer: Sendable {
  /// How far the state was that the answer was given from.
  public let mark: StoredMark
  /// The encoded reply, or why the query has none.
  public let result: Result<[UInt8], CallStatus>

  /// An answer from the state at `mark`.
  public init(mark: StoredMark, result: Result<[UInt8], CallStatus>) {
    self.mark = mark
    self.result = result
  }
}

/// How far a stored state is.
public struct StoredMark: Sendable, Hashable {
  /// The last entry that is in it; zero: none.
  public var last: EntryID
  /// The highest time stamp of those that are in it.
  public var time: UInt64

  /// Without arguments the mark of a state that no entry is in.
  public init(last: EntryID = .zero, time: UInt64 = 0) {
    self.last = last
    self.time = time
  }
}

/// One of the records by which sessions are kept beside the data: to be stored under session and sequence, and given back.
public struct SessionRecord: Sendable, Hashable {
  /// The session's number: the index of the entry that opened it.
  public let session: UInt64
  /// Zero: of the session itself.
  public let sequence: UInt64
  /// Nil: to be removed; where it is of the session itself, all of that session.
  public let bytes: [UInt8]?

  /// A record to be stored, or with nil for `bytes` to be removed.
  public init(session: UInt64, sequence: UInt64, bytes: [UInt8]?) {
    self.session = session
    self.sequence = sequence
    self.bytes = bytes
  }
}

/// Why a stored machine does not go on, on this node.
public struct StoredMachineFailure: Error, Sendable, Hashable, CustomStringConvertible {
  /// What is wrong; when a node starts, its exit code follows from it.
  #if hasAttribute(nonexhaustive)
    @nonexhaustive
  #endif
  public enum Kind: Sendable, Hashable {
    /// Its disk or its memory.
    case storage
    /// What is stored is not what was written.
    case damaged
    /// It is sound, and not to be used here: of a later version, for one.
    case refused
  }
  /// What is wrong: with the disk or memory, with what is stored, or with its use here.
  public let kind: Kind
  /// What happened, to what, and what to do.
  public let message: String

  /// A failure of this kind; `message` says what happened, to what, and what to do.
  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var description: String { message }
}
