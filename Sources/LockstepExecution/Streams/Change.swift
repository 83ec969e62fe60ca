public import LockstepConsensus
public import LockstepRequests

/// A command that was carried out, as those see it who follow a group's changes: the same on every replica.
public struct Change: Sendable, Hashable {
  /// What a machine said of a command while it carried it out: one message, with the name of its type.
  public struct Event: Sendable, Hashable {
    /// The full name of the message: "package.Message".
    public let type: String
    /// The encoded message.
    public let bytes: [UInt8]

    package init(type: String, bytes: [UInt8]) {
      self.type = type
      self.bytes = bytes
    }
  }

  /// Of the command's entry.
  public let index: LogIndex
  /// Of the command's entry.
  public let term: Term
  /// As the machine has seen it: see ``ApplyContext/time``.
  public let time: UInt64
  /// "package.Service/Method" in UTF-8.
  public let method: [UInt8]
  /// The encoded request.
  public let request: [UInt8]
  /// The encoded reply, or the failure that is recorded in its place.
  public let reply: Result<[UInt8], CallStatus>
  /// What the machine has emitted, in that order.
  public let events: [Event]

  package init(
    index: LogIndex, term: Term, time: UInt64, method: [UInt8], request: [UInt8], reply: Result<[UInt8], CallStatus>,
    events: [Event]
  ) {
    self.index = index
    self.term = term
    self.time = time
    self.method = method
    self.request = request
    self.reply = reply
    self.events = events
  }

  /// What it takes in memory, about.
  package var byteCount: Int {
    var bytes = method.count + request.count + 160
    switch reply {
    case .success(let reply): bytes += reply.count
    case .failure(let status): bytes += status.message.utf8.count
    }
    for event in events { bytes += event.bytes.count + 64 }
    return bytes
  }
}
