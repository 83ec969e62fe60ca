import LockstepConsensus
import LockstepDriver
import LockstepWire

extension World {
  /// Bytes that are no message are refused, and change nothing.
  func receiveGarbage(_ kind: FrameKind, _ payload: UnsafeRawBufferPointer, _ node: Node, from peer: NodeID) {
    let before = node.inspect(group)
    isHearingGarbage = true
    defer { isHearingGarbage = false }
    do throws(WireError) { try node.receive(kind, payload, from: peer) } catch {
      let after = node.inspect(group)
      books.check(
        .noViolation, before?.hardState == after?.hardState && before?.last == after?.last,
        "refused bytes have changed a node's state")
    }
  }
}
