import CXXHash
import LockstepConsensus
import LockstepWire

/// What somebody who means no good may send.
struct HostileBytes {
  /// A frame as the transport reads it. `length`: what the header claims, when it is to lie; its checksum is right even
  /// then, so that nothing but the length speaks against it.
  static func frame(_ kind: UInt8, _ payload: [UInt8], length: UInt32? = nil, version: UInt8 = 1) -> [UInt8] {
    let word =
      UInt64(0x534C) << 48 | UInt64(version) << 40 | UInt64(kind) << 32 | UInt64(length ?? UInt32(payload.count))
    let sum = payload.withUnsafeBytes { lockstep_xxh3_64($0.baseAddress, $0.count, word) }
    return (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
      + (0..<8).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) } + payload
  }

  static var clientHello: [UInt8] {
    let codec = Codec(maximumMessage: 1 << 16)
    codec.pack(clientHello: 1...1)
    return frame(FrameKind.clientHello.rawValue, codec.packed)
  }

  static func call(_ method: String, _ request: [UInt8], read: UInt32) -> [UInt8] {
    let codec = Codec(maximumMessage: 1 << 20)
    Array(method.utf8).withUnsafeBytes { method in
      request.withUnsafeBytes { codec.pack(CallHeader(id: 1, read: read), method: method, payload: $0) }
    }
    return frame(FrameKind.call.rawValue, codec.packed)
  }

  /// The 16 bytes that stand for a cluster's name between its nodes.
  static func clusterID(_ name: String) -> [UInt8] {
    [UInt64(1), 2].flatMap { seed in
      withUnsafeBytes(of: Checksum.of(Array(name.utf8), seed: seed).littleEndian) { Array($0) }
    }
  }

  static func peerHello(cluster: [UInt8], node: UInt64, target: UInt64) -> [UInt8] {
    let codec = Codec(maximumMessage: 1 << 16)
    let identity = PeerIdentity(
      cluster: cluster, node: NodeID(node), disk: [UInt8](repeating: 7, count: 16), incarnation: 1 << 40,
      fingerprint: "hostile", start: 7, members: (1...3).map { NodeID($0) })
    let versions = PeerVersion.oldest...PeerVersion.current
    codec.pack(PeerHello(versions: versions, identity: identity, target: NodeID(target)))
    return frame(FrameKind.peerHello.rawValue, codec.packed)
  }

  // Made once: the visitors are many, and are not to take the machine from the nodes.
  private static let deep = nested(20_000)
  private static let wide = fieldBomb(100_000)

  /// Sub-messages in sub-messages, each in field 1, as deep as asked for.
  static func nested(_ depth: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<depth { bytes = [0x0A] + varint(bytes.count) + bytes }
    return bytes
  }

  /// As many tiny fields as fit, so that a reader that allocates for each would be made to allocate much.
  static func fieldBomb(_ count: Int) -> [UInt8] {
    Array(repeating: [0x0A, 0x00, 0x12, 0x00, 0xFA, 0x01, 0x00] as [UInt8], count: count).flatMap { $0 }
  }

  private static func varint(_ value: Int) -> [UInt8] {
    var (rest, bytes) = (value, [UInt8]())
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  private static func noise(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }

  /// One visit: what is sent, in order, and whether the connection is then left open in silence.
  struct Visit {
    var parts: [[UInt8]]
    var staysOpen = false
    /// Wait for an answer after the first part.
    var shakesHands = false
  }

  /// The visits come round in turn, with different bytes.
  static func visit(_ number: Int, cluster: [UInt8], target: UInt64) -> Visit {
    let kinds = FrameKind.allCases.map(\.rawValue)
    let kind = kinds[number / 16 % kinds.count]
    switch number % 16 {
    case 0: return Visit(parts: [noise(1 + number % 4000)])
    case 1: return Visit(parts: [Array("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n".utf8)])
    case 2: return Visit(parts: [Array(frame(kind, noise(500)).prefix(1 + number % 400))], staysOpen: true)
    case 3: return Visit(parts: [frame(kind, [], length: 0)])
    case 4: return Visit(parts: [frame(kind, [0xFF], length: 1)])
    case 5: return Visit(parts: [frame(kind, noise(64), length: 4097), noise(4096)])
    case 6: return Visit(parts: [frame(kind, noise(64), length: 1 << 31), noise(4096)], staysOpen: true)
    case 7: return Visit(parts: [frame(kind, noise(64), length: .max), noise(4096)])
    case 8: return Visit(parts: [peerHello(cluster: noise(16), node: 2, target: target)])
    case 9: return Visit(parts: [peerHello(cluster: cluster, node: 1 + (target % 3), target: target)])
    case 10:
      return Visit(
        parts: [clientHello, frame(FrameKind.call.rawValue, deep)], shakesHands: true)
    case 11:
      return Visit(
        parts: [clientHello, frame(FrameKind.call.rawValue, wide)], shakesHands: true)
    case 12: return Visit(parts: [clientHello, frame(kind, fieldBomb(1000))], shakesHands: true)
    case 13:
      // Beyond the limit of an established connection, and a half frame of the largest size that is taken.
      return Visit(parts: [clientHello, frame(FrameKind.call.rawValue, noise(64), length: 9 << 20)], shakesHands: true)
    case 14:
      let half = frame(FrameKind.call.rawValue, noise(200_000), length: 1 << 20)
      return Visit(parts: [clientHello, half], staysOpen: true, shakesHands: true)
    default: return Visit(parts: [frame(kind, noise(100), version: UInt8(truncatingIfNeeded: number)), noise(100)])
    }
  }
}
