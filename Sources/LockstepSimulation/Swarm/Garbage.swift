import LockstepConsensus
import LockstepDriver
import LockstepWire

extension World {
  /// Bytes that are no message are refused, and change nothing.
  func receiveGarbage(_ kind: FrameKind, _ payload: UnsafeRawBufferPointer, _ node: Node, from peer: NodeID) {
    let before = node.inspect(group)
    isHearingGarbage = true
    defer { isHearingGarbage = false }
    let receiver = nodes[Int(node.configuration.id.rawValue) - 1]
    do throws(WireError) {
      try codec.deliver(kind, payload, from: peer, replies: receiver.replies(to: peer, in: self), to: node)
    } catch {
      let after = node.inspect(group)
      books.check(
        .noViolation, before?.hardState == after?.hardState && before?.last == after?.last,
        "refused bytes have changed a node's state")
    }
  }
}
