import LockstepConsensus
import LockstepPeers
import LockstepWire
import Testing

@Suite("a disk in place of one that is lost")
struct ReplacedDiskTests {
  private func disk(_ byte: UInt8, of number: UInt64 = 2) -> MemberDisk {
    MemberDisk(node: NodeID(number), disk: [UInt8](repeating: byte, count: 16))
  }

  @Test("another disk is let in with the word of its operator alone, and refused with what to do without it")
  func word() {
    var memory = PeerMemory()
    memory.remember(node(2, incarnation: 4))
    #expect(memory.refusal(of: node(2, disk: 9)) == .otherDisk(NodeID(2)))
    #expect(PeerRefusal.otherDisk(NodeID(2)).description.contains("with --replace-disk on an empty directory"))
    #expect(memory.refusal(of: node(2, disk: 9, isDiskReplaced: true)) == nil)
    var pair = Pair(node(2, disk: 9, isDiskReplaced: true), node(1))
    pair.acceptedMemory = memory
    pair.run()
    #expect(pair.isDialerEstablished && pair.isAcceptedEstablished)
    #expect(pair.acceptedMemory.peers[0].disk == disk(9).disk)
  }

  @Test("the one that was lost does not come back, nor one before it, however many there were", arguments: [2, 5, 17])
  func former(count: Int) {
    var memory = PeerMemory()
    for number in 0..<count {
      let next = node(2, disk: UInt8(50 + number), isDiskReplaced: number > 0)
      #expect(memory.refusal(of: next) == nil)
      memory.remember(next)
    }
    let stored = PeerMemory(peers: memory.peers)
    for number in 0..<count - 1 {
      let old = node(2, incarnation: 9, disk: UInt8(50 + number), isDiskReplaced: number > 0)
      #expect(stored.refusal(of: old) == .formerDisk(NodeID(2)))
    }
    #expect(stored.refusal(of: node(2, incarnation: 2, disk: UInt8(49 + count), isDiskReplaced: true)) == nil)
  }

  @Test("what the former disk has acknowledged is not asked of the new one; what the new one has, is")
  func acknowledged() {
    var memory = PeerMemory()
    memory.remember(node(2, incarnation: 4))
    func note(_ match: UInt64) {
      _ = memory.noteAcknowledged(
        NodeID(2), group: .first, term: Term(3), match: LogIndex(match), commit: LogIndex(match))
    }
    note(9)
    let beforeRemembered = memory.acknowledged
    let new = node(2, disk: 9, isDiskReplaced: true)
    #expect(memory.refusal(of: new) == nil)
    memory.remember(new)
    #expect(memory.acknowledged.isEmpty)
    // A crash may leave the old list beside the new peer: they are not written together.
    let stored = PeerMemory(peers: memory.peers, acknowledged: beforeRemembered)
    #expect(stored.refusal(of: node(2, incarnation: 2, disk: 9, isDiskReplaced: true)) == nil)
    // One of a version that named no disk is of the disk that the node began with.
    let old = Acknowledged(node: NodeID(2), group: .first, term: Term(3), index: LogIndex(9))
    #expect(PeerMemory(acknowledged: [old]).refusal(of: node(2)) != nil)
    #expect(PeerMemory(acknowledged: [old]).refusal(of: new) == nil)
    note(5)
    #expect(memory.acknowledged.map(\.index) == [LogIndex(5)])
    let back = node(2, incarnation: 2, disk: 9, term: 3, last: 4, isDiskReplaced: true)
    #expect(
      memory.refusal(of: back) == .lostEntries(NodeID(2), last: LogIndex(4), acknowledged: LogIndex(5)))
  }

  @Test("while the former disk is connected, two nodes run under one number: the new one is refused, nothing changes")
  func stillConnected() {
    var pair = Pair(node(2, disk: 9, isDiskReplaced: true), node(1))
    pair.acceptedMemory.remember(node(2))
    pair.acceptedMemory.present.connected = [disk(2)]
    pair.run()
    #expect(pair.acceptedEnding == .refused(.stillConnected(NodeID(2))))
    #expect(pair.acceptedMemory.peers[0].disk == disk(2).disk)
    pair.acceptedMemory.present.connected = [disk(3, of: 3), disk(9)]
    #expect(pair.acceptedMemory.refusal(of: node(2, disk: 9, isDiskReplaced: true)) == nil)
  }

  @Test("the disk that a configuration names is let in by a node that has never met it, and the one before it no more")
  func named() {
    var memory = PeerMemory()
    memory.remember(node(2))
    let new = node(2, disk: 9, isDiskReplaced: true)
    memory.present.named = [disk(9)]
    #expect(memory.refusal(of: new) == nil)
    #expect(memory.refusal(of: node(2)) == .formerDisk(NodeID(2)))
    #expect(memory.refusal(ofDiskOf: node(2)) == .formerDisk(NodeID(2)))
    #expect(memory.refusal(of: node(3)) == nil)
    // And yet another one, in place of that.
    #expect(memory.refusal(of: node(2, disk: 10, isDiskReplaced: true)) == nil)
  }
}
