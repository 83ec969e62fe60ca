import Lockstep
import LockstepWire

/// What a load consists of.
struct Load: Sendable {
  enum Operation: String, Sendable, CaseIterable {
    case put
    case get
    /// A row into a table of `lockstep.sql.v1.Sql`.
    case insert

    var method: String {
      switch self {
      case .put: "lockstep.kv.v1.KeyValue/Put"
      case .get: "lockstep.kv.v1.KeyValue/Get"
      case .insert: "lockstep.sql.v1.Sql/Execute"
      }
    }

    var isCommand: Bool { self != .get }
  }

  enum Pace: Sendable, Equatable {
    /// A closed loop: each client has so many calls under way, and sends the next when one is answered.
    case closed(depth: Int)
    /// An open loop: so many calls a second in all, on a schedule that waits for nobody. `depth`: so many may be under way
    /// on each connection, and what is due meanwhile is sent later; nil: as many as a node takes.
    case open(rate: Int, depth: Int? = nil)
  }

  enum Extent: Sendable, Equatable {
    /// Random keys, or new ones for an insert, for so many seconds, of which the first are not measured.
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
  /// Of an insert, which takes one key after the other; none of them has a row yet.
  var firstKey: UInt64 = 0
  var options = CallOptions()

  /// Of each client one, in which it makes its commands; none: they are in no session.
  var sessions: [UInt64] = []

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
    let key = Self.digits(of: firstKey)
    let value = (0..<valueBytes).map { UInt8(ascii: "a") + UInt8($0 % 26) }
    return switch operation {
    case .get: Self.field(1, key)
    case .put: Self.field(1, key) + Self.field(2, value)
    case .insert:
      // A statement, with its text and two parameters, which are texts.
      Self.field(
        1,
        Self.field(1, Array(Self.insertion.utf8)) + Self.field(2, Self.field(4, key))
          + Self.field(2, Self.field(4, value)))
    }
  }

  /// Where the digits of the key stand in the request.
  var keyPlace: Int {
    request.firstRange(of: Self.digits(of: firstKey))?.lowerBound ?? 0
  }

  private static func digits(of key: UInt64) -> [UInt8] {
    let digits = Array(String(key).utf8.suffix(keyDigits))
    return [UInt8](repeating: UInt8(ascii: "0"), count: keyDigits - digits.count) + digits
  }

  /// Field `number` of a message, which has a length.
  private static func field(_ number: UInt8, _ content: [UInt8]) -> [UInt8] {
    var length = [UInt8](repeating: 0, count: 10)
    let count = length.withUnsafeMutableBytes {
      Varint.write(UInt64(content.count), to: $0.baseAddress.unsafelyUnwrapped)
    }
    return [number << 3 | 2] + length[..<count] + content
  }

  /// The column makes a whole number of the digits.
  private static let insertion = "INSERT INTO bench(k, v) VALUES (?, ?)"
  static let table = "CREATE TABLE IF NOT EXISTS bench(k INTEGER PRIMARY KEY, v TEXT)"
  static let highestKey = "SELECT max(k) FROM bench"

  var keySequence: KeySequence {
    switch operation {
    // The first is that of the call that tries it out.
    case .insert: KeySequence(count: 10_000_000_000, isRandom: false, from: firstKey + 1)
    case .put, .get: KeySequence(count: UInt64(keys), isRandom: extent != .everyKey)
    }
  }
}
