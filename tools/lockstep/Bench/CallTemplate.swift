import Lockstep
import LockstepWire

/// A call's frame, or a batch's, encoded once: from one to the next only its id, its sequence and the keys' digits change. To pack each
/// call anew took 6 % of the load's processor time, which it shares with the cluster.
struct CallTemplate {
  /// Varints may be written longer than they need be; so an id of any size has the same place.
  private static let idBytes = 3
  static let ids = 1 << (7 * idBytes)

  /// Those of numbers below 2^63.
  private static let numberBytes = 9

  let bytes: [UInt8]
  let kind: FrameKind
  /// Of the first request's key, and from there to the next one's.
  private let keyPlace: Int
  private let keyDistance: Int
  private let count: Int
  /// Of the session's number and the sequence behind it, if there are any.
  private let sessionPlace: Int?

  init(_ load: Load) {
    // Without an id, which is field 1 and so comes first: it is put before the rest by hand.
    let packed = load.batch > 1 ? Self.packedBatch(load) : Self.packed(load)
    let call = [1 << 3, 0x80, 0x80, 0] + packed
    bytes = call + (load.sessions.isEmpty ? [] : Self.sessionFields(isBatch: load.batch > 1))
    sessionPlace = load.sessions.isEmpty ? nil : call.count
    kind = load.batch > 1 ? .batch : .call
    count = load.batch
    let request = load.request.count
    keyDistance = 1 + Varint.size(UInt64(request)) + request
    keyPlace = 1 + Self.idBytes + Self.requestPlace(in: packed) + load.keyPlace
  }

  /// Fields may stand in any order.
  private static func sessionFields(isBatch: Bool) -> [UInt8] {
    [isBatch ? 8 : 10, isBatch ? 9 : 11].flatMap { [$0 << 3] + [UInt8](repeating: 0, count: numberBytes) }
  }

  private static func packedBatch(_ load: Load) -> [UInt8] {
    let header = BatchHeader(
      id: 0, timeoutMilliseconds: load.options.timeout.wholeMilliseconds, ack: load.options.acknowledgement.number,
      voters: load.options.acknowledgement.voters)
    let codec = Codec(maximumMessage: 0)
    Array(load.operation.method.utf8).withUnsafeBytes {
      codec.pack(header, method: $0, payloads: Array(repeating: load.request, count: load.batch))
    }
    return codec.packed
  }

  private static func packed(_ load: Load) -> [UInt8] {
    var header = CallHeader(id: 0, timeoutMilliseconds: load.options.timeout.wholeMilliseconds)
    switch load.operation {
    case .put, .insert:
      header.ack = load.options.acknowledgement.number
      header.voters = load.options.acknowledgement.voters
    case .get:
      header.read = load.options.consistency.number
      switch load.options.consistency {
      case .bounded(let bound): header.readBoundMilliseconds = bound.wholeMilliseconds
      case .at(let index): header.readIndex = index.rawValue
      case .linearizable, .lease, .session, .any: break
      }
    }
    let codec = Codec(maximumMessage: 0)
    let (method, request) = (Array(load.operation.method.utf8), load.request)
    method.withUnsafeBytes { method in
      request.withUnsafeBytes { codec.pack(header, method: method, payload: $0) }
    }
    return codec.packed
  }

  /// Where the request stands in a packed call, or the first one in a packed batch: field 4 in both.
  private static func requestPlace(in packed: [UInt8]) -> Int {
    packed.withUnsafeBytes { bytes in
      var cursor = WireCursor(bytes)
      while !cursor.isAtEnd, let tag = try? cursor.varint() {
        if tag == 4 << 3 | 2, let range = try? cursor.delimited() { return range.lowerBound }
        guard (try? cursor.skipValue(wireType: tag & 7)) != nil else { break }
      }
      preconditionFailure("a packed call has a request")
    }
  }

  /// Writes a call with the keys that are next; `payload` has as many bytes as the template. `sequence`: of the first
  /// command in its session.
  func write(
    id: Int, keys: inout KeySequence, session: UInt64 = 0, sequence: UInt64 = 0,
    to payload: UnsafeMutableRawBufferPointer
  ) {
    payload.copyBytes(from: bytes)
    payload[1] = UInt8(truncatingIfNeeded: id) | 0x80
    payload[2] = UInt8(truncatingIfNeeded: id >> 7) | 0x80
    payload[3] = UInt8(truncatingIfNeeded: id >> 14) & 0x7f
    var place = keyPlace
    for _ in 0..<count {
      Self.write(key: keys.current, to: payload, at: place)
      keys.advance()
      place += keyDistance
    }
    guard let sessionPlace else { return }
    Self.write(number: session, to: payload, at: sessionPlace + 1)
    Self.write(number: sequence, to: payload, at: sessionPlace + 2 + Self.numberBytes)
  }

  private static func write(number: UInt64, to payload: UnsafeMutableRawBufferPointer, at place: Int) {
    for byte in 0..<numberBytes {
      let isLast = byte == numberBytes - 1
      payload[place + byte] = UInt8(truncatingIfNeeded: number >> (7 * UInt64(byte))) & 0x7f | (isLast ? 0 : 0x80)
    }
  }

  private static func write(key: UInt64, to payload: UnsafeMutableRawBufferPointer, at keyPlace: Int) {
    // Keys have at most ten digits, and division by a constant of 32 bits is cheaper.
    var high = UInt32(truncatingIfNeeded: key / 100_000)
    var low = UInt32(truncatingIfNeeded: key % 100_000)
    for place in stride(from: keyPlace + 4, through: keyPlace, by: -1) {
      payload[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: high % 10)
      payload[place + 5] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: low % 10)
      high /= 10
      low /= 10
    }
  }
}

extension Duration {
  /// At least 1: 0 would mean the server's own time-out.
  var wholeMilliseconds: UInt64 {
    let (seconds, attoseconds) = components
    return UInt64(max(1, seconds * 1000 + attoseconds / 1_000_000_000_000_000))
  }
}
