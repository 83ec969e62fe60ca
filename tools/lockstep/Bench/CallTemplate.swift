import Lockstep
import LockstepWire

/// A call's frame, encoded once: from one call to the next only its id and the key's digits change. To pack each call
/// anew took 6 % of the load's processor time, which it shares with the cluster.
struct CallTemplate {
  /// Varints may be written longer than they need be; so an id of any size has the same place.
  private static let idBytes = 3
  static let ids = 1 << (7 * idBytes)

  let bytes: [UInt8]
  private let keyPlace: Int

  init(_ load: Load) {
    // Without an id, which is field 1 and so comes first: it is put before the rest by hand.
    let packed = Self.packed(load)
    bytes = [1 << 3, 0x80, 0x80, 0] + packed
    keyPlace = 1 + Self.idBytes + Self.requestPlace(in: packed) + Load.keyPlace
  }

  private static func packed(_ load: Load) -> [UInt8] {
    var header = CallHeader(id: 0, timeoutMilliseconds: load.options.timeout.wholeMilliseconds)
    switch load.operation {
    case .put: header.ack = AckLevel.allCases.first { $0.name == load.options.acknowledgement.rawValue }?.rawValue ?? 0
    case .get:
      switch load.options.consistency {
      case .linearizable: header.read = ReadLevel.linearizable.rawValue
      case .lease: header.read = ReadLevel.lease.rawValue
      case .session: header.read = ReadLevel.session.rawValue
      case .bounded(let bound):
        (header.read, header.readBoundMilliseconds) = (ReadLevel.bounded.rawValue, bound.wholeMilliseconds)
      case .at(let index): (header.read, header.readIndex) = (ReadLevel.atIndex.rawValue, index)
      case .any: header.read = ReadLevel.any.rawValue
      }
    }
    let codec = Codec(maximumMessage: 0)
    let (method, request) = (Array(load.operation.method.utf8), load.request)
    method.withUnsafeBytes { method in
      request.withUnsafeBytes { codec.pack(header, method: method, payload: $0) }
    }
    return codec.packed
  }

  /// Where the request stands in a packed call, as field 4.
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

  /// Writes a call; `payload` has as many bytes as the template.
  func write(id: Int, key: UInt64, to payload: UnsafeMutableRawBufferPointer) {
    payload.copyBytes(from: bytes)
    payload[1] = UInt8(truncatingIfNeeded: id) | 0x80
    payload[2] = UInt8(truncatingIfNeeded: id >> 7) | 0x80
    payload[3] = UInt8(truncatingIfNeeded: id >> 14) & 0x7f
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
