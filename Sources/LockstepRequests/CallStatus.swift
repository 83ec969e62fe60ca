/// Why a call did not succeed, in gRPC's terms. Thrown by a machine it is the recorded reply of the command, the same
/// on every replica.
public struct CallStatus: Error, Hashable, Sendable, CustomStringConvertible {
  /// gRPC's sixteen codes (ok is no error and stands only in replies).
  #if hasAttribute(nonexhaustive)
    @nonexhaustive
  #endif
  public enum Code: UInt8, Hashable, Sendable, CaseIterable {
    /// No error: stands only in the replies of calls that succeeded.
    case ok = 0
    /// The caller has given up the call, as by closing the client.
    case cancelled = 1
    /// An error of which no more is known, such as one with a code of a later version.
    case unknown = 2
    /// The request makes no sense, whatever the state is.
    case invalidArgument = 3
    /// The call was not answered in time; its command may have been carried out all the same.
    case deadlineExceeded = 4
    /// What the request names is not there.
    case notFound = 5
    /// What the request is to make is there already.
    case alreadyExists = 6
    /// The caller is known, and may not do this.
    case permissionDenied = 7
    /// A limit is reached: of a size, of calls under way, or of room on a disk.
    case resourceExhausted = 8
    /// The state is not as the request needs it; the same call fails until that changes.
    case failedPrecondition = 9
    /// The call has lost a conflict with another one; what it is part of is to be done again from its beginning.
    case aborted = 10
    /// A number or a position leaves the range that is valid.
    case outOfRange = 11
    /// There is no such method, or the node does not serve what the call asks for.
    case unimplemented = 12
    /// Something that must always hold does not.
    case `internal` = 13
    /// It cannot be done at the moment, as where no leader is known or a connection is lost; it may be later.
    case unavailable = 14
    /// Bytes that were stored or sent are damaged, or gone.
    case dataLoss = 15
    /// It is not known who the caller is.
    case unauthenticated = 16

    /// As gRPC writes it: `NOT_FOUND`.
    public var name: String {
      switch self {
      case .ok: "OK"
      case .cancelled: "CANCELLED"
      case .unknown: "UNKNOWN"
      case .invalidArgument: "INVALID_ARGUMENT"
      case .deadlineExceeded: "DEADLINE_EXCEEDED"
      case .notFound: "NOT_FOUND"
      case .alreadyExists: "ALREADY_EXISTS"
      case .permissionDenied: "PERMISSION_DENIED"
      case .resourceExhausted: "RESOURCE_EXHAUSTED"
      case .failedPrecondition: "FAILED_PRECONDITION"
      case .aborted: "ABORTED"
      case .outOfRange: "OUT_OF_RANGE"
      case .unimplemented: "UNIMPLEMENTED"
      case .internal: "INTERNAL"
      case .unavailable: "UNAVAILABLE"
      case .dataLoss: "DATA_LOSS"
      case .unauthenticated: "UNAUTHENTICATED"
      }
    }
  }

  /// The kind of failure, for programs.
  public let code: Code
  /// What happened, in words, for people; recorded with a command's reply, so it must not differ between replicas.
  public let message: String
  /// Of a command that is refused where it would be carried out: whether it was before. Nil: as whoever tells it knows.
  package let applied: Applied?

  /// A failure of this kind; `message` says in words what happened.
  public init(_ code: Code, _ message: String) {
    self.init(code, message, applied: nil)
  }

  package init(_ code: Code, _ message: String, applied: Applied?) {
    self.code = code
    self.message = message
    self.applied = applied
  }

  public var description: String { "\(code.name): \(message)" }
}
