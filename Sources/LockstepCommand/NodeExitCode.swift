public import Lockstep

/// How a node ends. No other way is planned: a crash is a bug.
#if hasAttribute(nonexhaustive)
  @nonexhaustive
#endif
public enum NodeExitCode: Int32, Sendable, CaseIterable {
  /// Stopped by a signal, after everything was synced.
  case stopped = 0
  /// Something else than the cases below; the message says what.
  case failed = 1
  /// Flags that make no sense.
  case usage = 2
  /// A port cannot be listened on.
  case listen = 10
  /// Another process works in this directory.
  case locked = 11
  /// The directory belongs to another node or cluster, or is a copy of one, or its state is of a later version of the machine.
  case identity = 12
  /// Stored bytes are not what was written, or are missing; the message names the file.
  case damaged = 13
  /// The disk failed a write or a sync: nothing may be promised any more.
  case disk = 14
  /// The disk is so full that not even terms and votes can be stored, or that a start cannot be noted.
  case diskFull = 15
  /// This node's log and the leader's tell different stories of the same entry.
  case diverged = 16
  /// The machine's own storage failed: on its disk, or for want of memory.
  case machine = 17

  /// Would the same command do better in a moment?
  public var isWorthRestarting: Bool {
    switch self {
    case .stopped, .failed, .listen, .disk, .diskFull, .locked, .machine: true
    case .usage, .identity, .damaged, .diverged: false
    }
  }

  /// For the table of exit codes.
  public var meaning: String {
    switch self {
    case .stopped: "stopped by a signal, all synced"
    case .failed: "something unforeseen; the message says what"
    case .usage: "flags that make no sense"
    case .listen: "a port cannot be listened on"
    case .locked: "another process works in this directory"
    case .identity:
      "the directory belongs to another node or cluster, is a copy, or is of a later version of the machine"
    case .damaged: "stored bytes are damaged or missing; the file is named"
    case .disk: "the disk failed a read, write or sync"
    case .diskFull: "the disk is so full that not even terms and votes can be stored, or that a start cannot be noted"
    case .diverged: "the log differs from the leader's where it must not"
    case .machine: "the machine's own storage failed"
    }
  }

  /// What a program ends with after this failure of its node.
  public init(_ kind: ServerFailure.Kind) {
    self =
      switch kind {
      case .configuration: .usage
      case .listen: .listen
      case .locked: .locked
      case .identity: .identity
      case .damaged: .damaged
      case .disk: .disk
      case .diskFull: .diskFull
      case .diverged: .diverged
      case .machine: .machine
      case .other: .failed
      }
  }
}
