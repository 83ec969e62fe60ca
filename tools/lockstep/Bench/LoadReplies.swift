import LockstepExecution
import LockstepWire

/// What a load looks at in a reply.
struct ReplyHead {
  private(set) var id: UInt64 = 0
  private(set) var code: UInt64 = 0
  private(set) var payload = 0..<0
  private(set) var applied: UInt64 = 0
  private(set) var leader: UInt64 = 0

  init(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
    var cursor = WireCursor(bytes)
    while !cursor.isAtEnd {
      let tag = try cursor.varint()
      switch tag {
      case 1 << 3: id = try cursor.varint()
      case 2 << 3: code = try cursor.varint()
      case 4 << 3 | 2: payload = try cursor.delimited()
      case 10 << 3: applied = try cursor.varint()
      case 12 << 3: leader = try cursor.varint()
      default: try cursor.skipValue(wireType: tag & 7)
      }
    }
  }
}

/// What a load looks at in the reply to a batch.
struct BatchReplyHead {
  private(set) var id: UInt64 = 0
  private(set) var code: UInt64 = 0
  private(set) var applied: UInt64 = 0
  private(set) var leader: UInt64 = 0
  private(set) var succeeded = 0
  private(set) var failed = 0

  init(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
    var cursor = WireCursor(bytes)
    while !cursor.isAtEnd {
      let tag = try cursor.varint()
      switch tag {
      case 1 << 3: id = try cursor.varint()
      case 2 << 3: code = try cursor.varint()
      case 5 << 3: leader = try cursor.varint()
      case 9 << 3: applied = try cursor.varint()
      case 11 << 3 | 2:
        // The result of a failure begins with its code, as field 1; a success has none.
        let result = try cursor.delimited()
        if result.isEmpty || bytes[result.lowerBound] != 1 << 3 { succeeded += 1 } else { failed += 1 }
      default: try cursor.skipValue(wireType: tag & 7)
      }
    }
  }
}

/// May what was answered so be sent again? It was certainly not carried out, and another node, or the same one a moment
/// later, may do it.
func maySendAgain(code: UInt64, applied: UInt64) -> Bool {
  code == UInt64(CallStatus.Code.unavailable.rawValue) && applied == UInt64(Applied.no.number)
}
