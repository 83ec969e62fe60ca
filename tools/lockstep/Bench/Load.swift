import Lockstep
import LockstepWire

/// What a load consists of.
struct Load: Sendable {
  enum Operation: String, Sendable, CaseIterable {
    case put
    case get

    var method: String {
      switch self {
      case .put: "lockstep.kv.v1.KeyValue/Put"
      case .get: "lockstep.kv.v1.KeyValue/Get"
      }
    }
  }

  enum Pace: Sendable, Equatable {
    /// A closed loop: each client has so many calls under way, and sends the next when one is answered.
    case closed(depth: Int)
    /// An open loop: so many calls a second in all, on a schedule that waits for nobody. `depth`: so many may be under way
    /// on each connection, and what is due meanwhile is sent later; nil: as many as a node takes.
    case open(rate: Int, depth: Int? = nil)
  }

  enum Extent: Sendable, Equatable {
    /// Random keys, for so many seconds, of which the first are not measured.
    case time(warmup: Int, seconds: Int)
    /// Every key once.
    case everyKey
  }

  /// In an open loop so many calls may be under way on all connections together. It is what a node takes: more would
  /// be refused.
  static let openLoopLimit = 65_536

  var operation: Operation
  /// Connections, spread over the endpoints.
  var clients: Int
  var pace: Pace
  var extent: Extent
  var valueBytes: Int
  var keys: Int
  var options = CallOptions()

  /// Commands in each call; with more than one, calls are batches.
  var batch = 1

  /// Calls that may be under way on one connection.
  var window: Int {
    switch pace {
    case .closed(let depth): depth
    case .open(_, let depth): depth ?? max(1, Self.openLoopLimit / clients)
    }
  }

  /// The text of a key: always as long.
  static let keyDigits = 10

  /// The encoded request; the key's digits begin at `keyPlace`.
  var request: [UInt8] {
    // Field 1, the key, and for a put field 2, the value: both strings.
    var request = [0x0a, UInt8(Self.keyDigits)] + Array(repeating: UInt8(ascii: "0"), count: Self.keyDigits)
    guard operation == .put else { return request }
    var length = [UInt8](repeating: 0, count: 10)
    let count = length.withUnsafeMutableBytes {
      Varint.write(UInt64(valueBytes), to: $0.baseAddress.unsafelyUnwrapped)
    }
    request += [0x12] + length[..<count] + (0..<valueBytes).map { UInt8(ascii: "a") + UInt8($0 % 26) }
    return request
  }

  static let keyPlace = 2
}
