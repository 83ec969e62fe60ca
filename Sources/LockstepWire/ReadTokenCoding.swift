package import LockstepRequests
import LockstepConsensus

// ReadToken { group = 1, fixed64 incarnation = 2, term = 3, index = 4 }

extension Codec {
  /// By which the tokens of this cluster are told from all others'.
  package static func incarnation(cluster: [UInt8]) -> UInt64 { Checksum.of(cluster, seed: 0x746f_6b65_6e) }

  package static func bytes(_ token: ReadToken) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 4 * WireWriter.numberBytes) { room, count in
      guard let base = room.baseAddress else { return }
      var writer = WireWriter(UnsafeMutableRawPointer(base))
      writer.number(1, token.group)
      writer.fixed64(2, token.incarnation)
      writer.number(3, token.term.rawValue)
      writer.number(4, token.index.rawValue)
      count = writer.count
    }
  }

  /// Throws for bytes that are no token.
  package static func token(_ bytes: [UInt8]) throws(CallStatus) -> ReadToken {
    guard bytes.count <= 64, let token = bytes.withUnsafeBytes({ try? read($0) }) else {
      throw CallStatus(.invalidArgument, "the token is not one that a reply was answered with")
    }
    return token
  }

  private static func read(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> ReadToken {
    var (group, incarnation, term, index): (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    var cursor = WireCursor(bytes)
    while !cursor.isAtEnd {
      let tag = try cursor.varint()
      switch tag {
      case 1 << 3: group = try cursor.varint()
      case 2 << 3 | 1: incarnation = try cursor.fixed64()
      case 3 << 3: term = try cursor.varint()
      case 4 << 3: index = try cursor.varint()
      default: try cursor.skipValue(wireType: tag & 7)
      }
    }
    guard term > 0, index > 0, index < .max else { throw WireError("a token of no entry") }
    return ReadToken(group: group, incarnation: incarnation, term: Term(term), index: LogIndex(index))
  }
}
