import LockstepConsensus
public import LockstepRequests

extension Consistency {
  /// From the command line's spelling: `linearizable`, `lease`, `session`, `bounded:DURATION`, `at:INDEX`, `any`.
  public init?(_ text: String) {
    switch text {
    case "linearizable": self = .linearizable
    case "lease": self = .lease
    case "session": self = .session
    case "any": self = .any
    default:
      if text.hasPrefix("at:"), let index = UInt64(text.dropFirst(3)) {
        self = .at(LogIndex(index))
      } else if text.hasPrefix("bounded:"), let duration = Duration(parsing: String(text.dropFirst(8))) {
        self = .bounded(duration)
      } else {
        return nil
      }
    }
  }
}

extension Duration {
  /// From `250ms`, `5s`, `2m` or a plain number of seconds; nil when it is none of these, negative, or longer than a
  /// year.
  public init?(parsing text: String) {
    let units: [(suffix: String, milliseconds: Double)] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]
    let unit = units.first { text.hasSuffix($0.suffix) }
    let digits = unit.map { text.dropLast($0.suffix.count) } ?? Substring(text)
    guard let number = Double(digits), number >= 0, number.isFinite else { return nil }
    let milliseconds = number * (unit?.milliseconds ?? 1000)
    guard milliseconds <= 366 * 86_400_000 else { return nil }
    self = .microseconds(Int64(milliseconds * 1000))
  }

  /// Saturates: a user may ask for as long as there is.
  var milliseconds: UInt64 {
    let (whole, overflow) = UInt64(max(0, components.seconds)).multipliedReportingOverflow(by: 1000)
    if overflow { return .max }
    let part = UInt64(max(0, components.attoseconds / 1_000_000_000_000_000))
    return whole > .max - part ? .max : whole + part
  }
}

/// What a call asks for beside its request.
public struct CallOptions: Sendable {
  /// When a command is answered, at the earliest; queries ignore it. A level that is not reached in time is a failure with
  /// `applied: .yes`, which names who is missing, if the leader still leads. With `.leader` there is no reply yet:
  /// `Reply.payload` is empty.
  public var acknowledgement: Acknowledgement
  /// How fresh the state must be that answers a query; commands ignore it. Nodes without
  /// ``ServerConfiguration/leaseDrift`` refuse `.lease` with `failedPrecondition`.
  public var consistency: Consistency
  /// What a query at `.session` must have seen; nil: all that this client has been answered.
  public var token: ReadToken?
  /// Commands are made in this session, each under the next number, or the requests of a batch under the next ones: carried
  /// out once, however often they are sent. The client then sends a call again where it does not know what became of it,
  /// until the time-out.
  public var session: CommandSession?
  /// Makes again a call that was made in a session, under the number that it had (`CallFailure.sequence`); of a batch, that
  /// of its first request. It comes before `session`.
  public var sequence: CallSequence?
  /// After this long the call fails, saying what is known of its effect.
  public var timeout: Duration

  /// By default commands wait for a quorum, queries are linearizable, and calls fail after 5 seconds.
  public init(
    acknowledgement: Acknowledgement = .quorum, consistency: Consistency = .linearizable,
    token: ReadToken? = nil, session: CommandSession? = nil, sequence: CallSequence? = nil,
    timeout: Duration = .seconds(5)
  ) {
    self.token = token
    self.session = session
    self.sequence = sequence
    self.acknowledgement = acknowledgement
    self.consistency = consistency
    self.timeout = timeout
  }
}

extension CallOptions {
  /// Calls with the numbers that so many requests have in their session, which are under way meanwhile.
  func numbered<Result>(
    _ count: Int, _ body: (CallOptions) async throws(CallFailure) -> Result
  ) async throws(CallFailure) -> Result {
    var options = self
    var drawn: CallSequence?
    if sequence == nil, let session {
      drawn = try session.draw(count)
      options.sequence = drawn
    }
    defer { if let drawn { session?.end(drawn, count) } }
    do throws(CallFailure) { return try await body(options) } catch { throw error.of(options.sequence) }
  }
}
