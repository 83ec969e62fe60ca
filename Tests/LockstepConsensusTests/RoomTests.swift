import LockstepConsensus
import Testing

/// Disks that have no room for what clients would have appended.
@Suite("disks without room") struct RoomTests {
  private func refusals(_ effects: [Effect]) -> [ProposalRefusal] {
    effects.compactMap { if case .proposalRefused(let refusal) = $0 { refusal } else { nil } }
  }

  /// A leader of term 1 with its no-op committed.
  private func leader(of count: UInt64 = 3) -> Solo {
    var leader = Solo.leader(of: count)
    for peer in 2...count { leader.receive(.accepted(1, 1), from: peer) }
    return leader
  }

  @Test(
    "a leader whose own disk is short refuses commands, says what is missing, and takes them when it has room again")
  func own() {
    var leader = leader()
    leader.step(.roomChanged(.short(missing: 700)))
    #expect(refusals(leader.step(.proposed(sizes: [1]))) == [.noRoom([NodeID(1)], missing: 700)])
    #expect(leader.last == 1)
    leader.step(.roomChanged(.none(missing: 900)))
    #expect(refusals(leader.step(.proposed(sizes: [1]))) == [.noRoom([NodeID(1)], missing: 900)])
    leader.step(.roomChanged(.ample))
    #expect(refusals(leader.step(.proposed(sizes: [1]))) == [] && leader.last == 2)
  }

  @Test("commands are taken as long as a quorum has room for them, and refused by name when it has not")
  func quorum() {
    var leader = leader()
    leader.receive(.accepted(1, 1, room: .short(missing: 50)), from: 2)
    #expect(refusals(leader.step(.proposed(sizes: [1]))) == [] && leader.last == 2)
    leader.receive(.accepted(1, 1, room: .none(missing: 30)), from: 3)
    #expect(
      refusals(leader.step(.proposed(sizes: [1]))) == [.noRoom([NodeID(2), NodeID(3)], missing: 30)])
    leader.receive(.accepted(1, 1), from: 3)
    #expect(refusals(leader.step(.proposed(sizes: [1]))) == [])
  }

  @Test("one that is not reached makes no quorum with this node against another that is short")
  func unreached() {
    var leader = leader()
    leader.step(.linkLost(NodeID(3)))
    #expect(refusals(leader.step(.proposed(sizes: [1]))) == [])
    leader.receive(.accepted(1, 1, room: .short(missing: 50)), from: 2)
    #expect(refusals(leader.step(.proposed(sizes: [1]))) == [.noRoom([NodeID(2)], missing: 50)])
  }

  @Test("a follower without room takes none of the entries that are new to it, and acknowledges those that it has")
  func follower() {
    var node = Solo(term: 1, log: [1, 1])
    node.append(term: 1, after: (2, 1), commit: 1)
    node.step(.roomChanged(.none(missing: 9)))
    let effects = node.append(term: 1, after: (1, 1), [1, 1, 1], commit: 4)
    #expect(effects.accepted == [] && effects.writes.compactMap(\.entries) == [])
    #expect(effects.sent(to: 2) == [.accepted(1, 2, room: .none(missing: 9))])
    // What it has is committed when the leader says so, and no more.
    #expect(node.last == 2 && node.commit == 2)
    // "Reply false if log doesn't contain an entry at prevLogIndex": and that there is no room, too.
    let rejected = node.append(term: 1, after: (4, 1), [1])
    guard case .appendReply(let reply)? = rejected.sent(to: 2).first else {
      Issue.record("no reply")
      return
    }
    #expect(reply.room == .none(missing: 9))
    // The leader need not wait for its next heartbeat to hear of it.
    #expect(node.step(.roomChanged(.ample)).sent(to: 2) == [.accepted(1, 2)])
    node.append(term: 1, after: (2, 1), [1, 1])
    #expect(node.last == 4)
  }

  @Test("one that is short, and has room for what was proposed before, takes it, and says that it is short")
  func short() {
    var node = Solo(term: 1)
    node.step(.roomChanged(.short(missing: 9)))
    node.append(term: 1, [1, 1])
    #expect(node.store().sent(to: 2) == [.accepted(1, 2, room: .short(missing: 9))])
  }

  @Test(
    "a leader sends nothing but heartbeats to a follower without room, and all that it lacks when it has room again")
  func sending() {
    var leader = leader()
    leader.step(.proposed(sizes: [1, 1]))
    leader.receive(.accepted(1, 1, room: .none(missing: 1)), from: 2)
    func slices(_ effects: [Effect]) -> [LogSlice] {
      effects.sent(to: 2).compactMap {
        if case .append(let request) = $0, !request.entries.isEmpty { request.entries } else { nil }
      }
    }
    #expect(slices(leader.step(.proposed(sizes: [1]))) == [])
    let heartbeats = leader.tick(2 * TestCluster.smallLimits.heartbeatTicks)
    #expect(slices(heartbeats) == [] && !heartbeats.sent(to: 2).isEmpty)
    leader.receive(.accepted(1, 1, room: .none(missing: 1)), from: 2)
    let resumed = leader.receive(.accepted(1, 1), from: 2)
    #expect(slices(resumed) == [LogSlice(first: LogIndex(2), last: LogIndex(4))])
  }

  @Test("what stands in the log of a leader without room is committed, and a new leader appends its no-op")
  func goesOn() {
    var leader = leader()
    leader.step(.proposed(sizes: [1]))
    leader.store()
    leader.step(.roomChanged(.none(missing: 1)))
    #expect(leader.receive(.accepted(1, 2), from: 2).commits == [2])
    var next = Solo(term: 1, log: [1])
    next.step(.roomChanged(.none(missing: 1)))
    next.campaign()
    next.store()
    next.receive(.vote(granted: true, 2), from: 2)
    #expect(next.role == .leader && next.last == 2)
  }

  @Test("a leader that is short for long hands the lead to one that has room, and to none that has not")
  func handOver() {
    for (room, heir) in [(LogRoom.ample, NodeID(2)), (.short(missing: 1), nil)] {
      var leader = leader()
      leader.step(.roomChanged(.short(missing: 5)))
      for tick in 1...TestCluster.smallLimits.diskTicks + 2 * TestCluster.smallLimits.electionTicks {
        leader.tick()
        for peer in [2, 3] as [UInt64] where leader.role == .leader {
          leader.receive(.accepted(1, 1, room: room), from: peer)
        }
        if leader.replica.transferee != nil {
          #expect(tick > TestCluster.smallLimits.diskTicks)
          break
        }
      }
      #expect(leader.replica.transferee == heir && leader.role == .leader)
    }
  }

  @Test("the named leader is not given the lead back while it is short, and the one that has it is not")
  func preferred() {
    for room in [LogRoom.short(missing: 1), .ample] {
      var leader = Solo.leader(preferredLeader: 2)
      for _ in 0..<2 * TestCluster.smallLimits.preferredLeaderTicks {
        leader.tick()
        for peer in [2, 3] as [UInt64] { leader.receive(.accepted(1, 1, room: room), from: peer) }
        if leader.replica.transferee != nil { break }
      }
      #expect(leader.replica.transferee == (room.isAmple ? NodeID(2) : nil))
    }
  }
}
