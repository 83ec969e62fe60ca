// A node whose disk is gone comes back with an empty one.
//
// The disk that is gone (R) and the one in its place (R') are two servers under one number: the one is removed, the other
// is added, by changes "that add or remove a single server at a time" (thesis section 4.1). Of n members the others are
// n - 1, and all of them keep what they have promised. Two entries of the log do it:
//
//   demotion    the others vote; the node, with R' by name, is a learner (thesis section 4.2.1)
//   promotion   all vote again, the node with R' by name
//
// 1. Nobody counts R' for R. A leader that was told of R' counts nothing that the node says, for no entry and no read,
//    until the latest configuration in its log names R': with R a leader of a later term may have been elected and have
//    committed, of which an older leader, R' beside it, would know nothing.
// 2. R' does not campaign unless the latest configuration in its own log says that it is a voter, with R' by name. It gives
//    its vote as soon as it knows a demotion with its name to be committed: the promotion may be committed without it, and
//    then those who have it may need its vote ("servers process incoming RPC requests without consulting their current
//    configurations", thesis section 4.1). Who takes it for a learner does not count it. That it is committed goes to the
//    disk at once, and so is the same after a restart.
// 3. What R has promised is harmless once the demotion is committed. Whoever counted R, for a vote or an entry, counted
//    floor(n / 2) of the others besides; the demotion is on floor((n - 1) / 2) + 1 of them. Together these are n: one of
//    the others, X, is in both (of 3 members: 1 of the 2 others, and both; of 5: 2 of the 4, and 3).
//    An entry that R helped to commit, in an earlier term than the demotion's: X, or R itself while it was there, made
//    the demotion's leader have it (Leader Completeness, Raft figure 3), so it stands before the demotion. In a later
//    term: by then X had the demotion, and gave its vote to none that lacks it. Nor did it to a candidate of a later term
//    that R has voted for: that one's log was fixed while R was there, before the demotion; and a vote that X gave before
//    the demotion would have made it refuse the demotion's older term.
// 4. The promotion is appended when the demotion is committed, so a log that has the promotion has the demotion, and R'
//    votes for no log that lacks it: for none whose owner takes the node's word for that of R.
//
// A crash, or another leader, at any step: before the demotion nothing has happened, and the next leader is told of R' by
// its own handshake. A demotion that is not committed goes on with a leader that has it, or is replaced and appended anew.
// With a committed one every leader finds the learner in its log, and begins a round. A promotion that is replaced leaves
// R' a learner again: what it voted meanwhile is on its disk, and it had the demotion when it did.
//
// Two disks that are lost at a time are one after the other in the log; one that does not vote yet is to the other's
// demotion as a node that is down. "A leader has to have committed an entry in its own term before it appends a
// configuration" (the correction of thesis section 4.1, raft-dev, 2015), and "one change at a time".

/// A learner that catches up, by rounds: "each round replicates all the log entries present in the leader's log at the
/// start of the round" (thesis section 4.2.1).
struct CatchUpRound: Sendable {
  let node: NodeID
  let target: LogIndex
  var ticks = 0
}

extension Replica {
  /// Its disk is not the one that the configuration means where it calls this node a voter: it neither votes nor campaigns.
  package var isAwaitingAdmission: Bool {
    guard let named = members.disk(of: id) else { return configuration.isDiskReplaced }
    return named != configuration.disk || !members.isVoter(id)
  }

  /// "Each server persists currentTerm, votedFor and log before it responds to RPCs" (Raft section 5.1, figure 2): one to whom a
  /// member's word says that it does not, and that came without a word of its operator, takes part in no election until
  /// that member takes it for what it was. Its vote may be a second one, and its log may lack what it was counted for: two such
  /// nodes of three would elect each other, and begin a second history. What it stores from now on it may acknowledge.
  mutating func diskRefused(by node: NodeID, _ isRefused: Bool, _ effects: inout [Effect]) {
    guard members.all.contains(node), node != id else { return }
    refusing.removeAll { $0 == node }
    guard isRefused else { return }
    refusing.append(node)
    if role != .follower(leader: leader) { becomeFollower(term: term, leader: nil, &effects) }
  }

  /// What the disk before this one has promised is not known to be harmless.
  var isBoundByItsFormerDisk: Bool {
    guard isAwaitingAdmission else { return false }
    // A later configuration, of another member's disk, may wait for this vote.
    let isDemotionCommitted = configurations.contains {
      $0.index <= commit && $0.members.disk(of: id) == configuration.disk
    }
    return members.disk(of: id) != configuration.disk || !isDemotionCommitted
  }

  /// The members that have shown themselves with a disk that the configuration does not mean.
  package var unnamedDisks: [NodeID] {
    replacedDisks.filter(isUnnamed).map(\.node)
  }

  mutating func diskReplaced(_ new: MemberDisk) {
    guard new.node != id, !replacedDisks.contains(new) else { return }
    replacedDisks.removeAll { $0.node == new.node }
    replacedDisks.append(new)
    guard members.disk(of: new.node) != new.disk else { return }
    if transferee == new.node { transferee = nil }
    if catchUp?.node == new.node { catchUp = nil }
    noteReplacedDisks()
    guard let follower = progress.firstIndex(where: { $0.node == new.node }) else { return }
    progress[follower].beginAnew(at: log.last.next)
  }

  /// The configuration is another one, or a disk is.
  mutating func noteReplacedDisks() {
    for follower in progress.indices {
      let node = progress[follower].node
      progress[follower].isReplaced = replacedDisks.contains { $0.node == node && $0.disk != members.disk(of: node) }
    }
  }

  /// On a leader, once a tick.
  mutating func tickReplacement(_ effects: inout [Effect]) {
    guard commit >= termStart, configurations[configurations.count - 1].index <= commit, transferee == nil else {
      return
    }
    let members = members
    guard !members.isJoint, !members.disks.isEmpty || !replacedDisks.isEmpty else { return }
    if let new = replacedDisks.first(where: isToBeNamed) {
      configure(members.demoting(new), &effects)
    } else if let learner = members.learners.first(where: { members.disk(of: $0) != nil }),
      isCaughtUp(learner, &effects)
    {
      configure(members.promoting(learner), &effects)
    }
  }

  private func isUnnamed(_ disk: MemberDisk) -> Bool {
    members.all.contains(disk.node) && members.disk(of: disk.node) != disk.disk
  }

  /// It is there now: of one that has shown itself and gone, another disk may have taken its place since, which the
  /// configuration may mean already. Whoever comes back with it says so again.
  private func isToBeNamed(_ new: MemberDisk) -> Bool {
    guard isUnnamed(new) else { return false }
    return progress.contains { $0.node == new.node && $0.isLinkUp }
  }

  private mutating func configure(_ next: Members, _ effects: inout [Effect]) {
    guard !next.voters.isEmpty else { return }
    catchUp = nil
    appendOwn(content: .configuration(next), sizes: CollectionOfOne(Self.configurationBytes(next)), &effects)
  }

  /// What is counted of it beside the overhead of an entry, about.
  private static func configurationBytes(_ members: Members) -> Int { 8 * members.all.count + 32 * members.disks.count }

  /// "If the last round lasts less than an election timeout, then the leader adds the new server to the cluster" (thesis
  /// section 4.2.1): it has all that was there a moment ago. Until then another round begins.
  ///
  /// The first round has an entry of its own: what carries it says that the demotion is committed, so who has acknowledged it
  /// knows that on its disk, and gives its vote (2), even if the promotion is committed without it.
  private mutating func isCaughtUp(_ learner: NodeID, _ effects: inout [Effect]) -> Bool {
    guard let peer = progress.first(where: { $0.node == learner }), peer.isLinkUp else {
      catchUp = nil
      return false
    }
    guard var round = catchUp, round.node == learner else {
      appendOwn(content: .noOperation, sizes: CollectionOfOne(Self.noOperationBytes), &effects)
      catchUp = CatchUpRound(node: learner, target: log.last)
      return false
    }
    round.ticks += 1
    guard peer.match >= round.target else {
      catchUp = round
      return false
    }
    catchUp = CatchUpRound(node: learner, target: log.last)
    return round.ticks <= limits.electionTicks && peer.state == .replicating && !peer.isReplaying
  }
}

extension Members {
  /// The others vote, and this node, with this disk, only listens.
  func demoting(_ new: MemberDisk) -> Members {
    Members(
      voters: voters.filter { $0 != new.node }, learners: learners + [new.node], witnesses: witnesses,
      disks: disks.filter { $0.node != new.node } + [new])
  }

  /// It votes.
  func promoting(_ node: NodeID) -> Members {
    Members(voters: voters + [node], learners: learners.filter { $0 != node }, witnesses: witnesses, disks: disks)
  }
}
