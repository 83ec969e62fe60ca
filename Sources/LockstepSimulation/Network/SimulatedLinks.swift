import LockstepConsensus
import LockstepDriver
import LockstepRequests
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

  fileprivate func connection(to node: NodeID) -> SimulatedConnection? {
    let place = Int(node.rawValue) - 1
    return place < outgoing.count ? outgoing[place] : nil
  }

  func send(
    _ message: Message, of group: GroupID, previousChain: UInt64, entries: UnsafeRawBufferPointer, to node: NodeID
  ) -> LinkResult {
    guard let connection = connection(to: node) else { return .notConnected }
    if case .appendReply(let reply) = message, !reply.room.takesEntries { world.faults.count(.entriesNotTaken) }
    let kind = world.codec.pack(message, group: group, previousChain: previousChain)
    return world.codec.packed.withUnsafeBytes {
      world.send(kind, message, header: $0, body: entries, over: connection)
    }
  }

  func forward(_ request: Request, id: UInt64, timeoutMilliseconds: UInt64, to node: NodeID) -> LinkResult {
    guard let connection = connection(to: node) else { return .notConnected }
    return world.codec.pack(forward: id, timeoutMilliseconds: timeoutMilliseconds, request) {
      world.send(.forward, nil, header: $0, body: $1, over: connection)
    }
  }

  func isConnected(_ node: NodeID) -> Bool { connection(to: node) != nil }

  func flush() {
    for connection in outgoing {
      if let connection, !connection.outbound.isEmpty { world.flush(connection) }
    }
  }
}

/// Where the answers go to calls that one peer has passed on: over the link to it.
final class SimulatedPeerReplies: ReplyChannel {
  private unowned let world: World
  private unowned let links: SimulatedLinks
  private let peer: NodeID

  init(world: World, links: SimulatedLinks, peer: NodeID) {
    self.world = world
    self.links = links
    self.peer = peer
  }

  var hasRoom: Bool {
    let hasRoom = links.connection(to: peer)?.hasRoom ?? true
    if !hasRoom { world.faults.count(.linkWithoutRoom) }
    return hasRoom
  }
  var maximumReplyBytes: Int { world.options.driver.replyBytes }

  func send(_ kind: FrameKind, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) {
    guard let connection = links.connection(to: peer) else { return }
    _ = world.send(kind, nil, header: header, body: body, over: connection)
  }

  func flush() {
    if let connection = links.connection(to: peer), !connection.outbound.isEmpty { world.flush(connection) }
  }
}
