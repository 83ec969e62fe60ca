import LockstepConsensus
import LockstepDriver
import LockstepWire

// Disks that are lost for good, and those that come in their place: what one has promised, the other has not.

extension Books {
  /// All that the node's disk has is gone, and nothing on its way there arrives.
  func diskReplaced(_ place: Int) {
    let node = nodes[place]
    node.formerDisks.append(node.stored)
    node.stored = Indexed(base: base.last.index)
    node.storedState = HardState()
    node.named = nil
    node.writing = nil
    node.arrived = nil
    node.unwrittenReset = nil
    node.base = base.last.index
  }

  /// A process has begun with this disk.
  func began(_ place: Int, disk: [UInt8]) {
    let node = nodes[place]
    // Before a first process took part, several may have begun, each with a directory that no crash has left.
    if node.diskIDs.count > node.formerDisks.count { node.diskIDs.removeLast() }
    while node.diskIDs.count < node.formerDisks.count { node.diskIDs.append([]) }
    node.diskIDs.append(disk)
  }

  /// There are none without a disk that was replaced.
  func lookForConfigurations(_ place: Int, _ block: EntryBlock, _ slice: LogSlice, _ state: GroupInspection) {
    guard nodes.contains(where: { !$0.formerDisks.isEmpty }) else { return }
    var index = slice.first
    while index <= slice.last {
      if block.header(at: index)?.kind == .configuration { configurationAppended(place, index, state) }
      index = index.next
    }
  }

  private func configurationAppended(_ place: Int, _ index: LogIndex, _ state: GroupInspection) {
    let (book, term, commit) = (nodes[place], state.hardState.term, state.hardState.commit)
    if state.isLeader, book.log[index]?.term == term {
      check(
        .oneChangeAtATime, book.configured.last ?? .zero <= commit && book.log[commit]?.term == term,
        "\(Self.name(place)) appends a configuration as entry \(index), and has committed entry \(commit) alone")
    }
    book.configured.append(index)
  }

  /// A leader makes a learner a voter that has come in place of another disk: "each round replicates all the log entries
  /// present in the leader's log at the start of the round" (thesis section 4.2.1), and the first one has an entry of its own
  /// behind the configuration in which it is a learner.
  func checkCaughtUp(_ place: Int, _ members: Members, _ state: GroupInspection) {
    let (book, index) = (nodes[place], state.configuration)
    guard state.isLeader, let former = book.members, let learning = book.configuration, learning < index,
      book.log[index]?.term == state.hardState.term
    else { return }
    for learner in former.learners where members.isVoter(learner) && members.disk(of: learner) != nil {
      let other = Int(learner.rawValue) - 1
      guard !unreliable[other] else { continue }
      let (disk, first) = (disk(of: other, meantBy: members), book.log[learning.next])
      let has = disk.map { $0.last > learning && ($0[learning.next] ?? first) == first }
      check(
        .admittedBeforeItVotes, has ?? false,
        "\(Self.name(place)) makes \(Self.name(other)) a voter, whose disk ends with entry \(disk?.last ?? .zero)")
    }
  }

  /// Its vote leaves it.
  func checkAdmitted(_ place: Int) {
    let (node, number) = (nodes[place], NodeID(UInt64(place + 1)))
    guard !node.formerDisks.isEmpty else { return }
    let isNamed =
      node.members.map {
        $0.disk(of: number) == node.diskIDs.last
          && ($0.isVoter(number) || node.configured.last ?? .zero <= node.commit)
      } ?? false
    check(
      .admittedBeforeItVotes, isNamed,
      "\(Self.name(place)) votes before what its former disk has promised is known to be harmless")
  }

  /// What is on the disk that a configuration means by this node; nil: on one that nobody has seen.
  func disk(of place: Int, meantBy members: Members) -> Indexed<Entry>? {
    let node = nodes[place]
    let disks = node.formerDisks + [node.stored]
    guard let id = members.disk(of: NodeID(UInt64(place + 1))) else { return disks[0] }
    return node.diskIDs.lastIndex(of: id).map { disks[$0] }
  }

  /// By all that is committed, it votes with the disk that it has.
  func votes(_ place: Int) -> Bool {
    let (node, number) = (nodes[place], NodeID(UInt64(place + 1)))
    guard !node.formerDisks.isEmpty else { return members?.isVoter(number) ?? true }
    guard let members, node.diskIDs.count > node.formerDisks.count else { return false }
    return members.isVoter(number) && members.disk(of: number) == node.diskIDs.last
  }

  /// And its disk knows that: until then it gives no vote, as the disk before it may have given it.
  func givesVotes(_ place: Int) -> Bool {
    guard votes(place) else { return false }
    guard !nodes[place].formerDisks.isEmpty else { return true }
    return nodes[place].named.map { nodes[place].storedState.commit >= $0 } ?? false
  }

  /// On the disk that it has, or on one that it had.
  func holds(_ place: Int, _ index: LogIndex) -> Bool {
    nodes[place].stored.last >= index || nodes[place].formerDisks.contains { $0.last >= index }
  }
}
