import LockstepConsensus
import LockstepExecution
import LockstepWire
import Synchronization
import Testing

@testable import Lockstep
@testable import LockstepTransport

private func frame(_ kind: UInt8, _ payload: some Collection<UInt8>) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: Frame.headerLength) + payload
  bytes.withUnsafeMutableBytes { Frame.seal($0, kind: kind) }
  return bytes
}

private final class Count: Sendable {
  let value = Atomic(0)
}

private func frame(_ kind: FrameKind, _ pack: (Codec) -> Void) -> [UInt8] {
  let codec = Codec(maximumMessage: 1 << 20)
  pack(codec)
  return frame(kind.rawValue, codec.packed)
}

extension Servers {
  @Suite("Strangers on the ports")
  struct HostilePorts {
    /// What strangers say, each of which ends the connection.
    private static let strangers: [[UInt8]] = [
      Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8),
      Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8),
      [UInt8](repeating: 0, count: 64),
      [UInt8](repeating: 0xff, count: 64),
      [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03] + [UInt8](repeating: 7, count: 100),
      frame(200, [1, 2, 3]),
      frame(FrameKind.call.rawValue, [8, 1]),
      frame(FrameKind.append.rawValue, [8, 1]),
      frame(FrameKind.clientHello.rawValue, [0xff]),
      frame(FrameKind.peerHello.rawValue, [0xff]),
      frame(FrameKind.peerHello.rawValue, []),
      frame(.clientHello) { $0.pack(clientHello: 7...9) },
      frame(.clientHello) { $0.pack(clientHello: 1...1) } + frame(FrameKind.call.rawValue, [0xff, 0xff]),
      frame(.clientHello) { $0.pack(clientHello: 1...1) } + frame(FrameKind.append.rawValue, [8, 1]),
      frame(.peerHello) {
        $0.pack(
          PeerHello(
            versions: 1...1,
            identity: PeerIdentity(
              cluster: [1], node: NodeID(2), disk: [2], incarnation: 1, fingerprint: String(repeating: "f", count: 999)),
            target: NodeID(1)))
      },
    ]

    @Test(
      "garbage, other protocols, wrong frames and half frames on both ports: refused, while calls go on without error")
    func strangers() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let client = cluster.client(leader)
        let ports = cluster.ports[Int(leader) - 1]
        async let sums = {
          var last: Int64 = 0
          for _ in 0..<200 { last = try await client.add("c", 1) }
          return last
        }()
        var sockets: [RawSocket] = []
        for port in [ports.client, ports.peer] {
          for bytes in Self.strangers {
            let socket = try RawSocket(port: port)
            socket.send(bytes)
            sockets.append(socket)
          }
        }
        var open: [RawSocket] = []
        for port in [ports.client, ports.peer] {
          for count in [1, 4, 8, 15, 16] {
            let socket = try RawSocket(port: port)
            socket.send(Array(frame(FrameKind.clientHello.rawValue, [8, 1, 16, 1]).prefix(count)))
            open.append(socket)
          }
        }
        // A welcome may come first where the port and the hello fit; a call never gets an answer.
        let ended = await Task.detached { sockets.map { $0.isEnded() } }.value
        #expect(ended.allSatisfy { $0 }, "\(ended)")
        #expect(try await sums == 200)
        for socket in sockets + open { socket.close() }
        let calm = await cluster.leader()
        #expect(calm != nil)
      }
    }

    @Test("a client that never reads its answers is slowed down, and costs the others nothing")
    func neverReads() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        _ = try await client.add("c", 1)
        let rude = try RawSocket(port: cluster.ports[0].client)
        rude.send(frame(.clientHello) { $0.pack(clientHello: 1...1) })
        // Small questions with large answers: more than a connection may have waiting, and no more than sockets hold.
        let question = frame(.describe) { $0.pack(describe: 1) }
        for _ in 0..<3_000 { rude.send(question) }
        for _ in 0..<50 { _ = try await client.add("c", 1) }
        #expect(!cluster.logs.contains("does not read its answers"), "\(cluster.logs.text)")
        rude.close()
        #expect(try await client.add("c", 0) > 0)
      }
    }

    @Test("one that asks for the status very often is answered in turn, and the others meanwhile")
    func asksTooOften() async throws {
      try await Cluster.with(1) { cluster in
        let (monitor, client) = (cluster.client(), cluster.client())
        _ = try await client.add("c", 1)
        let answered = Count()
        try await withThrowingTaskGroup(of: Void.self) { group in
          for _ in 0..<2_000 {
            group.addTask {
              _ = try await monitor.status(timeout: .seconds(60))
              answered.value.add(1, ordering: .relaxed)
            }
          }
          try await eventually("the first are answered") { answered.value.load(ordering: .relaxed) > 0 }
          for _ in 0..<30 { _ = try await client.add("c", 1) }
          // Eight in each tick of the loop.
          #expect(answered.value.load(ordering: .relaxed) < 1_500)
          try await group.waitForAll()
        }
        #expect(answered.value.load(ordering: .relaxed) == 2_000)
      }
    }

    @Test("a client that sends very many calls at once is slowed down, and gets all its answers")
    func flood() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        let answers = await withTaskGroup(of: Bool.self) { group in
          for _ in 0..<9_000 {
            group.addTask { (try? await client.get("k", .any, timeout: .seconds(30))) != .some(.some("x")) }
          }
          return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(answers == 9_000)
        try await client.put("k", "v")
      }
    }

    @Test("connections that are opened and left are many, and cost the others nothing")
    func idle() async throws {
      try await Cluster.with(1) { cluster in
        let sockets = try (0..<300).map { _ in try RawSocket(port: cluster.ports[0].client) }
        try await cluster.client().put("k", "v")
        for socket in sockets { socket.close() }
        try await eventually("they are forgotten") { try await cluster.client().status().connections < 50 }
      }
    }
  }
}
