import LockstepConsensus
import LockstepDriver
import LockstepPeers
import LockstepTransport
import LockstepWire
import NIOCore

// Nodes that come with another disk than they had: what is asked before one is let in, and who is told.

extension PeerPort {
  /// What is held against those that come, beside what is remembered.
  var present: PeerMemory.Present {
    let connections = accepted.map(\.connection) + links.compactMap(\.connection)
    return PeerMemory.Present(
      connected: connections.compactMap { connection in
        guard connection.isOpen, let other = (connection.context as? Context)?.other else { return nil }
        return MemberDisk(node: other.node, disk: other.disk)
      }, named: server?.node.namedDisks ?? [])
  }

  func tellOfDisk(_ other: PeerIdentity) {
    guard other.isDiskReplaced else { return }
    server?.node.diskReplaced(MemberDisk(node: other.node, disk: other.disk))
    server?.scheduleTurn()
  }

  /// The configuration is another one: connections of disks that it has no place for end.
  func disksAreNamed() {
    memory.present = PeerMemory.Present(named: server?.node.namedDisks ?? [])
    for connection in accepted.map(\.connection) + links.compactMap(\.connection) {
      guard let context = connection.context as? Context, let other = context.other,
        let refusal = memory.refusal(ofDiskOf: other)
      else { continue }
      context.isFormer = true
      let box = NIOLoopBound(connection, eventLoop: eventLoop)
      // Later: the core is in the middle of a step, and hears of links that are lost.
      eventLoop.execute { box.value.close(reason: .local("\(refusal)")) }
    }
  }

  /// This node has come in place of one that seems to be there. A connection on which nothing was heard since the last
  /// time is given up: whoever lives at its other end connects anew at once, and nobody does where there is nobody.
  func doubt(_ node: NodeID) {
    let former = (accepted.map(\.connection) + links.compactMap(\.connection)).filter {
      ($0.context as? Context)?.other?.node == node
    }
    let heard = former.reduce(0) { $0 &+ (($1.context as? Context)?.heard ?? 0) }
    guard let place = silence.firstIndex(where: { $0.node == node }) else {
      silence.append((node, heard))
      return
    }
    let isSilent = silence[place].heard == heard
    silence[place].heard = heard
    guard isSilent else { return }
    silence.remove(at: place)
    for connection in former {
      connection.close(reason: .local("node \(node) has come with another disk, and nothing is heard of this one"))
    }
  }
}
