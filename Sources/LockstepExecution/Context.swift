public import LockstepConsensus

/// What a command may know of the world, besides the machine and its request: the same on every replica. Clocks,
/// random numbers and ids that come from anywhere else make replicas differ.
public struct ApplyContext: Sendable {
  /// The group whose log has the command.
  public let group: GroupID
  /// The place of this command in the log: unique, growing, and so a good revision or id.
  public let index: LogIndex
  /// The term of the command's entry: in it a leader has put the command into the log.
  public let term: Term
  /// The leader's clock when it took the command, in nanoseconds since 1970; never goes back.
  public let time: UInt64
  /// The client's session, or nil.
  public let session: UInt64?
  private var random: Generator
  /// Of the recorder, and no reference to it: there is a context for each command, and counting references would be a
  /// twentieth of what that costs. Nil: no changes are recorded here.
  @usableFromInline let recorder: ChangeRecorder.Number

  package init(
    group: GroupID, index: LogIndex, term: Term, time: UInt64, session: UInt64?, recorder: ChangeRecorder.Number = .none
  ) {
    self.recorder = recorder
    self.group = group
    self.index = index
    self.term = term
    self.time = time
    self.session = session
    random = Generator(seed: group.rawValue &* 0x9e37_79b9_7f4a_7c15 ^ index.rawValue)
  }

  /// Random bits, drawn from a generator that is seeded by group and index: every replica draws the same.
  public mutating func nextRandom() -> UInt64 { random.next() }

  /// Has those who follow the changes of this command's service hear of an event, beside the command and its reply. `make`
  /// gives its type, "package.Message", and the encoded message; it is not called where nobody records changes, so it may
  /// change nothing.
  @inlinable
  public func emit(_ make: () -> (type: String, bytes: [UInt8])) {
    guard recorder.isOne else { return }
    let event = make()
    add(event.type, event.bytes)
  }

  @usableFromInline
  func add(_ type: String, _ bytes: [UInt8]) {
    ChangeRecorder.of(recorder)?.emit(Change.Event(type: type, bytes: bytes), of: index)
  }
}

/// What a query may know.
public struct QueryContext: Sendable {
  /// The group whose state is asked.
  public let group: GroupID
  /// The last entry that has been applied: the state that the query sees.
  public let index: LogIndex
  /// The highest time stamp of the entries so far, in nanoseconds since 1970.
  public let time: UInt64

  package init(group: GroupID, index: LogIndex, time: UInt64) {
    self.group = group
    self.index = index
    self.time = time
  }
}
