import LockstepConsensus
import LockstepPeers
import LockstepWire
import Testing

@Suite("what a node remembers of the others")
struct PeerMemoryTests {
  @Test("the disk may not change, the number of the start not go back, and one number is one start")
  func starts() {
    var memory = PeerMemory()
    #expect(memory.refusal(of: node(2, incarnation: 4)) == nil)
    memory.remember(node(2, incarnation: 4))
    #expect(memory.refusal(of: node(2, incarnation: 4)) == nil)
    #expect(memory.refusal(of: node(2, incarnation: 5)) == nil)
    #expect(memory.refusal(of: node(2, incarnation: 9, disk: 9)) == .otherDisk(NodeID(2)))
    #expect(memory.refusal(of: node(2, incarnation: 3)) == .olderIncarnation(NodeID(2), 3, seen: 4))
    // A copy of the directory as it was before start 4, started once: as many starts, and another one.
    #expect(memory.refusal(of: node(2, incarnation: 4, start: 1)) == .otherStart(NodeID(2), 4))
    #expect(memory.refusal(of: node(3)) == nil)
  }

  @Test("what a version without start ids has remembered takes the next id for what it is")
  func oldMemory() {
    let old = DiskIdentity.Peer(node: NodeID(2), disk: [UInt8](repeating: 2, count: 16), incarnation: 4)
    var memory = PeerMemory(peers: [old])
    #expect(memory.refusal(of: node(2, incarnation: 4)) == nil)
    memory.remember(node(2, incarnation: 4))
    #expect(memory.refusal(of: node(2, incarnation: 4, start: 1)) == .otherStart(NodeID(2), 4))
  }

  @Test("who has acknowledged a committed entry, or a term, does not come back with less")
  func acknowledged() {
    var memory = PeerMemory()
    memory.remember(node(2, incarnation: 4))
    let isNews = (0..<2).map { _ in
      memory.noteAcknowledged(NodeID(2), group: .first, term: Term(3), match: LogIndex(9), commit: LogIndex(8))
    }
    #expect(isNews == [true, false])
    memory.noteNotLeading(.first)
    let back = { node(2, incarnation: 5, term: $0, last: $1) }
    #expect(memory.refusal(of: back(3, 8)) == nil)
    #expect(memory.refusal(of: back(7, 8)) == nil)
    #expect(
      memory.refusal(of: back(3, 7)) == .lostEntries(NodeID(2), last: LogIndex(7), acknowledged: LogIndex(8)))
    #expect(memory.refusal(of: back(2, 8)) == .lostTerm(NodeID(2), Term(2), acknowledged: Term(3)))
    // The process that has acknowledged: what it found when it started, before that, says nothing.
    #expect(memory.refusal(of: node(2, incarnation: 4)) == nil)
    // Stored and read back, it is the same; others are not concerned.
    let stored = PeerMemory(peers: memory.peers, acknowledged: memory.acknowledged)
    #expect(stored.refusal(of: back(3, 7)) != nil && stored.refusal(of: node(3)) == nil)
  }

  @Test("a leader counts on what is not committed yet, in its term; in a later term it may have been replaced")
  func leading() {
    var memory = PeerMemory()
    memory.remember(node(2, incarnation: 4))
    _ = memory.noteAcknowledged(NodeID(2), group: .first, term: Term(3), match: LogIndex(9), commit: LogIndex(4))
    #expect(
      memory.refusal(of: node(2, incarnation: 5, term: 3, last: 8))
        == .lostEntries(NodeID(2), last: LogIndex(8), acknowledged: LogIndex(9)))
    #expect(memory.refusal(of: node(2, incarnation: 5, term: 4, last: 8)) == nil)
    memory.noteNotLeading(.first)
    #expect(memory.refusal(of: node(2, incarnation: 5, term: 3, last: 8)) == nil)
  }

  @Test("what is known only grows, by node and group, in order")
  func growth() {
    var memory = PeerMemory()
    let second = GroupID(2)
    for (peer, group, term, match) in [
      (3, second, 2, 5), (2, GroupID.first, 2, 5), (3, GroupID.first, 2, 5), (2, GroupID.first, 3, 1),
      (2, GroupID.first, 1, 7), (2, GroupID.first, 9, 0),
    ] as [(UInt64, GroupID, UInt64, UInt64)] {
      _ = memory.noteAcknowledged(
        NodeID(peer), group: group, term: Term(term), match: LogIndex(match), commit: LogIndex(6))
    }
    #expect(
      memory.acknowledged == [
        Acknowledged(node: NodeID(2), group: .first, term: Term(3), index: LogIndex(6)),
        Acknowledged(node: NodeID(3), group: .first, term: Term(2), index: LogIndex(5)),
        Acknowledged(node: NodeID(3), group: second, term: Term(2), index: LogIndex(5)),
      ])
  }

  @Test("the members' addresses: in order, each node once, the last address counts")
  func addressBook() {
    func member(_ node: UInt64, _ address: String) -> DiskIdentity.Member {
      DiskIdentity.Member(node: NodeID(node), address: address)
    }
    var book = AddressBook([member(3, "c:3"), member(1, "a:1"), member(3, "c:4")])
    #expect(book.members == [member(1, "a:1"), member(3, "c:4")])
    book.update(NodeID(2), address: "b:2")
    #expect(book.nodes == [1, 2, 3].map { NodeID($0) })
    #expect(book.others(than: NodeID(2)).map(\.address) == ["a:1", "c:4"])
    #expect(book.address(of: NodeID(3)) == "c:4" && book.address(of: NodeID(4)) == nil && !book.contains(NodeID(4)))
  }
}
