import LockstepConsensus
import LockstepDriver
import LockstepRequests
import LockstepTransport
import LockstepWire

// What this node says to the others: messages of the core, calls that it passes on, and answers to calls of theirs.

extension PeerPort: PeerLinks {
  func send(
    _ message: Message, of group: GroupID, previousChain: UInt64, entries: UnsafeRawBufferPointer, to node: NodeID
  ) -> LinkResult {
    guard let connection = connection(to: node) else { return .notConnected }
    let kind = frames.pack(message, group: group, previousChain: previousChain)
    return frames.packed.withUnsafeBytes {
      LinkResult(connection.send(kind: kind.rawValue, header: $0, body: entries))
    }
  }

  func forward(_ request: Request, id: UInt64, timeoutMilliseconds: UInt64, to node: NodeID) -> LinkResult {
    guard let connection = connection(to: node) else { return .notConnected }
    return frames.pack(forward: id, timeoutMilliseconds: timeoutMilliseconds, request) { header, body in
      LinkResult(connection.send(kind: FrameKind.forward.rawValue, header: header, body: body))
    }
  }

  func connection(to node: NodeID) -> Connection? { links.first { $0.id == node }?.connection }

  func isConnected(_ node: NodeID) -> Bool { connection(to: node) != nil }

  func flush() {
    for (_, _, connection) in links { connection?.flush() }
  }
}

extension LinkResult {
  fileprivate init(_ result: LockstepTransport.SendResult) {
    switch result {
    case .queued: self = .sent
    case .full, .tooLong: self = .full
    case .closed: self = .notConnected
    }
  }
}

/// Where the answers go to calls that one peer has passed on: over the link that this node has dialed to it.
final class PeerReplies: ReplyChannel {
  // Unowned: the port and its server live as long as the node does, which has this.
  private unowned let port: PeerPort
  private let peer: NodeID
  let maximumReplyBytes: Int

  init(_ port: PeerPort, peer: NodeID, maximumReplyBytes: Int) {
    self.port = port
    self.peer = peer
    self.maximumReplyBytes = maximumReplyBytes
  }

  /// A full link drops what it is given, and whoever waits for this would wait for its whole time-out.
  var hasRoom: Bool { port.connection(to: peer)?.hasRoom ?? true }

  func send(_ kind: FrameKind, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) {
    _ = port.connection(to: peer)?.send(kind: kind.rawValue, header: header, body: body)
  }

  func flush() { port.connection(to: peer)?.flush() }
}
