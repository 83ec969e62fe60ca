import LockstepConsensus
import Testing

/// "Each server takes snapshots independently, covering just the committed entries in its log" (Raft section 7): the log
/// begins behind one; and each knows how far all have come, so that it need not be before that.
@Suite("a log that is compacted") struct CompactionTests {
  private func id(_ index: UInt64, _ term: UInt64) -> EntryID { EntryID(term: Term(term), index: LogIndex(index)) }

  @Test(
    "a leader compacts what is committed, and nothing else; once a tick it counts what every member has on its disk")
  func leader() {
    var leader = Solo.leader(of: 3, term: 3, log: [1, 1, 2, 2])
    leader.receive(.accepted(3, 5), from: 2)
    leader.receive(.accepted(3, 2), from: 3)
    #expect(leader.commit == 5)
    #expect(leader.replica.storedByAll == .zero)
    leader.tick()
    #expect(leader.replica.storedByAll == LogIndex(2))
    leader.step(.proposed(sizes: [1]))
    leader.step(.compacted(id(6, 3)))
    #expect(leader.replica.log.base == .zero)
    leader.step(.compacted(id(2, 1)))
    #expect(leader.replica.log.base == id(2, 1) && leader.replica.log.last == LogIndex(6))
    #expect(leader.replica.log.lookup(LogIndex(1)) == .compacted && leader.replica.log.term(at: LogIndex(3)) == Term(2))
  }

  @Test("an acknowledgement of what is not on a disk is none: the leader's own writes count as everyone's")
  func ownDisk() {
    var leader = Solo.leader(of: 3, term: 3, log: [1, 1])
    leader.step(.proposed(sizes: [10, 10]))
    for peer in [2, 3] as [UInt64] { leader.receive(.accepted(3, 5), from: peer) }
    leader.tick()
    #expect(leader.commit == 5 && leader.replica.log.durable == LogIndex(3))
    #expect(leader.replica.storedByAll == LogIndex(3))
    leader.step(.compacted(id(4, 3)))
    #expect(leader.replica.log.base == .zero)
  }

  @Test("a follower learns from its leader what all have, and never takes more of it than is committed here")
  func follower() {
    var node = Solo(term: 2, log: [1, 1, 2, 2])
    func hear(_ stored: UInt64, commit: UInt64) {
      let request = AppendRequest(
        term: Term(2), previous: id(4, 2), entries: LogSlice(first: LogIndex(5), last: LogIndex(4)),
        commit: LogIndex(commit), readRound: 0, storedByAll: LogIndex(stored))
      node.receive(.append(request), from: 2)
    }
    hear(3, commit: 3)
    node.step(.compacted(id(4, 2)))
    #expect(node.replica.log.base == .zero)
    node.step(.compacted(id(3, 2)))
    #expect(node.replica.log.base == id(3, 2))
    // It does not go back with another leader, who may know less; and a lie beyond the commit index is cut.
    hear(1, commit: 4)
    #expect(node.replica.storedByAll == LogIndex(3))
    hear(.max, commit: 4)
    #expect(node.replica.storedByAll == LogIndex(4))
  }

  @Test("what is no entry of the log, or before its base, changes nothing")
  func unknown() {
    var leader = Solo.leader(of: 1, term: 3, base: (2, 1), log: [2, 2])
    leader.tick()
    for other in [id(2, 1), id(1, 1), id(3, 1), id(9, 3), .zero] {
      leader.step(.compacted(other))
      #expect(leader.replica.log.base == id(2, 1), "\(other)")
    }
  }

  @Test("followers are sent entries from behind the new base; one that is asked again begins there")
  func progress() {
    var leader = Solo.leader(of: 3, term: 3, log: [1, 1, 2, 2])
    for peer in [2, 3] as [UInt64] { leader.receive(.accepted(3, 5), from: peer) }
    leader.tick()
    leader.step(.compacted(id(4, 2)))
    leader.step(.linkLost(NodeID(3)))
    leader.step(.proposed(sizes: [10]))
    let sent = leader.step(.linkRestored(NodeID(3))).appends(to: 3)
    #expect(sent.map(\.previous) == [id(5, 3)])
    #expect(leader.replica.progress.allSatisfy { $0.next > LogIndex(4) })
  }

  @Test("the configuration as of the new base is the first, and later ones stay")
  func configurations() {
    let three = Members(voters: [1, 2, 3].map { NodeID($0) })
    let four = Members(voters: [1, 2, 3, 4].map { NodeID($0) })
    var node = Solo(
      term: 2, log: [1, 1, 2, 2, 2], configurations: [(LogIndex(2), four), (LogIndex(4), three)])
    let request = AppendRequest(
      term: Term(2), previous: id(5, 2), entries: LogSlice(first: LogIndex(6), last: LogIndex(5)), commit: LogIndex(5),
      readRound: 0, storedByAll: LogIndex(5))
    node.receive(.append(request), from: 2)
    node.step(.compacted(id(3, 2)))
    #expect(node.replica.configurations.map(\.index) == [LogIndex(3), LogIndex(4)])
    #expect(node.replica.configurations[0].members == four && node.replica.members == three)
    node.step(.compacted(id(5, 2)))
    #expect(node.replica.configurations.map(\.index) == [LogIndex(5)] && node.replica.members == three)
  }

  @Test("behind its base a compacted log says the same as one that is whole", arguments: 1...UInt64(40))
  func same(seed: UInt64) {
    var generator = Generator(seed: seed)
    var (whole, compacted) = (Log(), Log())
    func change(_ body: (inout Log) -> Void) {
      body(&whole)
      body(&compacted)
    }
    for step in 0..<200 {
      switch generator.below(6) {
      case 0, 1, 2:
        let term = Term(max(whole.lastID.term.rawValue, 1) + UInt64(generator.below(2)))
        let sizes = (0...generator.below(4)).map { _ in generator.below(100) }
        change { $0.append(term: term, sizes: sizes) }
        let write = WriteID(UInt64(step + 1))
        change { log in
          log.writeBegan(write)
          _ = log.writeFinished(write)
        }
      case 3:
        let first = compacted.base.index.next.advanced(by: generator.below(6) + 3)
        change { $0.truncate(from: first) }
      case 4: change { $0.trim(maximumEntries: 5, maximumBytes: 300, keeping: .zero) }
      default:
        let index = LogIndex(UInt64(generator.below(Int(whole.durable.rawValue) + 1)))
        if let term = whole.term(at: index) { compacted.compact(through: EntryID(term: term, index: index)) }
      }
      #expect(compacted.last == whole.last && compacted.durable == whole.durable)
      #expect(compacted.floor > compacted.base.index && compacted.lastID == whole.lastID)
      for index in 0...whole.last.rawValue + 2 {
        let index = LogIndex(index)
        let expected = index < compacted.base.index ? Log.Lookup.compacted : whole.lookup(index)
        #expect(compacted.lookup(index) == expected)
        guard index >= max(compacted.floor, whole.floor), index <= whole.last else { continue }
        let slice = LogSlice(first: index, last: whole.last)
        #expect(compacted.bytes(slice) == whole.bytes(slice))
      }
    }
    #expect(compacted.base.index > .zero)
  }
}
