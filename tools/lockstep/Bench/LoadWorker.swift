import LockstepTransport
import LockstepWire

/// One client of a load: its connection, and the calls under way there. A call's id is its slot.
final class LoadWorker {
  let connection: Connection
  /// When the call of each slot began, in nanoseconds; 0: none is under way there.
  var starts: [UInt64]
  var free: [Int]
  /// It has calls in a batch that is not flushed yet.
  var isTouched = false
  /// Something was answered since the last look.
  var isHeard = false
  private var silentSeconds: Int64 = 0

  init(_ connection: Connection, window: Int) {
    precondition(window <= CallTemplate.ids)
    self.connection = connection
    starts = Array(repeating: 0, count: window)
    free = Array((0..<window).reversed())
  }

  /// To be asked once a second. A node answers every call by its time-out, even if only that it is over: one that does
  /// not is dead.
  func isSilent(longerThan timeout: Duration) -> Bool {
    let isIdle = free.count == starts.count
    silentSeconds = isHeard || isIdle ? 0 : silentSeconds + 1
    isHeard = false
    // The seconds are not whole at either end.
    return silentSeconds > timeout.components.seconds + 2
  }
}

/// What a load looks at in a reply.
struct ReplyHead {
  private(set) var id: UInt64 = 0
  private(set) var code: UInt64 = 0
  private(set) var payload = 0..<0

  init(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
    var cursor = WireCursor(bytes)
    while !cursor.isAtEnd {
      let tag = try cursor.varint()
      switch tag {
      case 1 << 3: id = try cursor.varint()
      case 2 << 3: code = try cursor.varint()
      case 4 << 3 | 2: payload = try cursor.delimited()
      default: try cursor.skipValue(wireType: tag & 7)
      }
    }
  }
}

/// What a load looks at in the reply to a batch.
struct BatchReplyHead {
  private(set) var id: UInt64 = 0
  private(set) var code: UInt64 = 0
  private(set) var succeeded = 0
  private(set) var failed = 0

  init(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
    var cursor = WireCursor(bytes)
    while !cursor.isAtEnd {
      let tag = try cursor.varint()
      switch tag {
      case 1 << 3: id = try cursor.varint()
      case 2 << 3: code = try cursor.varint()
      case 11 << 3 | 2:
        // The result of a failure begins with its code, as field 1; a success has none.
        let result = try cursor.delimited()
        if result.isEmpty || bytes[result.lowerBound] != 1 << 3 { succeeded += 1 } else { failed += 1 }
      default: try cursor.skipValue(wireType: tag & 7)
      }
    }
  }
}

/// The keys of a load, one after the other: at random, or each once.
struct KeySequence {
  private let count: UInt64
  private let isRandom: Bool
  private var state: UInt64 = 0x9E37_79B9_7F4A_7C15
  private(set) var current: UInt64 = 0
  private(set) var isOver = false

  init(count: UInt64, isRandom: Bool, from first: UInt64 = 0) {
    (self.count, self.isRandom, current) = (count, isRandom, first)
    if isRandom { advance() }
  }

  mutating func advance() {
    guard isRandom else {
      current += 1
      isOver = current == count
      return
    }
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    current = state % count
  }
}
