/// What must hold in every run. The first five are those of Raft figure 3.
#if hasAttribute(nonexhaustive)
  @nonexhaustive
#endif
public enum Invariant: String, Sendable, CaseIterable {
  /// At most one leader in a term.
  case electionSafety
  /// A leader never overwrites or deletes entries of its log.
  case leaderAppendOnly
  /// The same index and term: the same entry, and the same entries before it.
  case logMatching
  /// What is committed is in the log of every later leader.
  case leaderCompleteness
  /// No two nodes have different entries committed at one index.
  case stateMachineSafety
  /// The commit index of a process never goes back, and what it covers is on the disks of a quorum.
  case commitStored
  /// A vote, a term or an acknowledgement leaves a node only after it is on its disk.
  case storedBeforeSent
  /// One vote in a term, across restarts.
  case oneVote
  /// A disk that came in place of another votes only where a configuration in its log names it as a voter's, and becomes a
  /// voter's when it has what was there as it became a learner's.
  case admittedBeforeItVotes
  /// A leader changes the configuration only when the one before it is committed, and an entry of its own term.
  case oneChangeAtATime
  /// A disk that recovers has what was stored, all of it, and nothing else.
  case recovery
  /// An entry that has left a log is in two snapshots there, and on the disk of every other node.
  case compactedIsKept
  /// Replicas that have applied the same entries are equal, and equal to a replay.
  case equalDigests
  /// The answer to a command is that of a replay, and the command is in the log where the answer says.
  case honestAnswer
  /// A command is acknowledged at the level that was asked for, or at a higher one that the nodes insist on: those that its
  /// evidence names had it on their disks by then, or had applied it.
  case levelIsMet
  /// A call is answered once at most.
  case answeredOnce
  /// Each command that was sent takes effect once at most, and nothing that was not sent.
  case noPhantom
  /// A call in a session is carried out once, however often it is sent, and not after it was said never to be.
  case exactlyOnce
  /// What was said not to be applied never is.
  case notAppliedIsFinal
  /// A linearizable read sees what was acknowledged before it began.
  case freshReads
  /// A read at an index sees that index.
  case readAtIndex
  /// A read at level `session` sees what its client has seen before, whichever nodes have answered.
  case sessionRead
  /// A read at level `bounded` sees all that was acknowledged before its bound, and no state is older than it is said to be.
  case boundedRead
  /// Who follows the changes is told each once, in the order of the log, none left out, and no more than it has granted.
  case changesOnce
  /// All operations of clients fit into one order.
  case linearizability
  /// A node never finds that another one has broken the protocol.
  case noViolation
  /// A process ends only for a reason that the faults explain.
  case explainedEnd
  /// A client that reads gets all its answers: none is left out, and its connection is not closed. And every call is
  /// answered in the end by the node that it has reached, if that lives on.
  case noAnswerLost
  /// Bytes that wait on links and connections stay within their limits.
  case boundedMemory
  /// Queues stay within their limits.
  case boundedQueues
  /// A node's files take no more of its disk than they may.
  case withinBudget
  /// After healing, progress within ten election time-outs, and equal replicas.
  case liveness
  /// A node whose disk keeps what it has promised is never refused by another.
  case soundIsAdmitted
  /// Without a disturbance the term stays.
  case stableTerm
  /// An assertion of the program itself; outside of builds with mistakes made on purpose it ends the process.
  case assertion
  /// A promised fault was never injected.
  case promisedFault
  /// The user's own.
  case user
}

/// A broken invariant, and when.
public struct InvariantFailure: Error, Sendable, CustomStringConvertible {
  /// The invariant that did not hold.
  public let invariant: Invariant
  /// What was found, and mostly at which node.
  public let message: String
  /// Virtual nanoseconds since the beginning of the run.
  public let time: UInt64

  public var description: String { "\(invariant.rawValue): \(message)" }
}
