import LockstepConsensus
import Testing

/// The arithmetic of majorities against oracles that count every subset.
@Suite("quorum") struct QuorumTests {
  private func nodes(_ numbers: [UInt64]) -> [NodeID] { numbers.map { NodeID($0) } }

  /// Halves of up to five nodes each, overlapping in every way that matters.
  private var quorums: [Quorum] {
    let halves: [[UInt64]] = [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5]]
    let others: [[UInt64]] = [[], [1], [2, 3], [3, 4, 5], [1, 2, 3], [4, 5, 6], [2, 3, 4, 5]]
    return halves.flatMap { half in others.map { Quorum(incoming: nodes(half), outgoing: nodes($0)) } }
  }

  private func isMajority(_ half: [NodeID], _ yes: (NodeID) -> Bool) -> Bool {
    half.isEmpty || 2 * half.filter(yes).count > half.count
  }

  @Test("a quorum is a majority of each half, for every subset") func satisfied() {
    for quorum in quorums {
      for bits in 0..<UInt64(128) {
        let holds = { (node: NodeID) in bits >> node.rawValue & 1 == 1 }
        let expected = isMajority(quorum.incoming, holds) && isMajority(quorum.outgoing, holds)
        #expect(quorum.isSatisfied(by: holds) == expected)
      }
    }
  }

  @Test("any two quorums of a configuration intersect") func intersection() {
    for quorum in quorums {
      let winning = (0..<UInt64(128)).filter { bits in quorum.isSatisfied { bits >> $0.rawValue & 1 == 1 } }
      #expect(winning.allSatisfy { one in winning.allSatisfy { one & $0 != 0 } })
    }
  }

  @Test("an election is won when a quorum said yes, lost when none can come about any more, else pending")
  func outcome() {
    for quorum in quorums {
      // Each of six nodes: yes, no or silent.
      for code in 0..<729 {
        var answers: [Bool?] = []
        var rest = code
        for _ in 0..<6 {
          answers.append([true, false, nil][rest % 3])
          rest /= 3
        }
        let answer = { (node: NodeID) in answers[Int(node.rawValue) - 1] }
        let isWon = quorum.isSatisfied { answer($0) == true }
        let canBeWon = quorum.isSatisfied { answer($0) != false }
        #expect(quorum.outcome(of: answer) == (isWon ? .won : canBeWon ? .pending : .lost))
      }
    }
  }

  @Test("the index that is reached is the highest that a quorum has") func reached() {
    var generator = Generator(seed: 7)
    for quorum in quorums {
      for _ in 0..<200 {
        let match = (0..<6).map { _ in LogIndex(UInt64(generator.below(6))) }
        let index = { (node: NodeID) in match[Int(node.rawValue) - 1] }
        let expected = (0...UInt64(6)).last { candidate in quorum.isSatisfied { index($0).rawValue >= candidate } }
        #expect(quorum.reached(index).rawValue == expected)
      }
    }
  }

  @Test("a tally keeps the first answer of a node") func tally() {
    var tally = Tally()
    tally.record(NodeID(1), isGranted: false)
    tally.record(NodeID(1), isGranted: true)
    #expect(tally.vote(of: NodeID(1)) == false && tally.vote(of: NodeID(2)) == nil)
  }

  @Test("members are sorted and counted once, whatever their order") func members() {
    let members = Members(
      voters: nodes([3, 1, 3]), outgoingVoters: nodes([4, 1]), learners: nodes([9]), witnesses: nodes([3]))
    #expect(members.voters == nodes([1, 3]) && members.all == nodes([1, 3, 4, 9]))
    #expect(members.isVoter(NodeID(4)) && !members.isVoter(NodeID(9)) && members.isJoint)
  }
}
