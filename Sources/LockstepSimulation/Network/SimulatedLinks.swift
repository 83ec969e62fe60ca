import LockstepConsensus
import LockstepDriver
import LockstepWire

/// The links of one node, as its driver sees them.
final class SimulatedLinks: PeerLinks {
  private unowned let world: World
  private let place: Int
  /// To each node, once the handshake is done.
  var outgoing: [SimulatedConnection?]

  init(world: World, place: Int, count: Int) {
    self.world = world
    self.place = place
    outgoing = Array(repeating: nil, count: count)
  }

  private func connection(to node: NodeID) -> SimulatedConnection? {
    let place = Int(node.rawValue) - 1
    return place < outgoing.count ? outgoing[place] : nil
  }

  func send(_ kind: FrameKind, header: [UInt8], body: UnsafeRawBufferPointer, to node: NodeID) {
    guard let connection = connection(to: node) else { return }
    world.send(kind, header: header, body: body, over: connection)
  }

  func isConnected(_ node: NodeID) -> Bool { connection(to: node) != nil }

  func flush() {
    for connection in outgoing {
      if let connection, !connection.outbound.isEmpty { world.flush(connection) }
    }
  }
}
