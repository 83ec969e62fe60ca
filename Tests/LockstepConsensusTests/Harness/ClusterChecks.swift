import LockstepConsensus

/// The properties of Raft figure 3 and the promises made to the disk and to readers, held against the whole cluster
/// after every step. Breaches are collected: a script goes on and the test shows all of them.
struct ClusterChecks {
  private(set) var failures: [String] = []
  /// Counted to show that a run was about something.
  private(set) var elections = 0
  private(set) var readsAnswered = 0

  private struct Ballot: Hashable {
    let voter: NodeID
    /// Another disk has promised nothing yet.
    let disk: Int
    let term: Term
  }
  private struct Made: Hashable {
    let entry: TestEntry
    let previousTerm: Term
  }
  private var leaders: [Term: NodeID] = [:]
  private var ballots: [Ballot: NodeID] = [:]
  private var made: [EntryID: Made] = [:]
  private var largestEntry = 0
  private var reads: [ReadID: (node: NodeID, atLeast: LogIndex)] = [:]
  /// What is committed, and the term of the leader that committed it.
  private(set) var committed: [(entry: TestEntry, inTerm: Term)] = []
  var committedIndex: LogIndex { LogIndex(UInt64(committed.count)) }
  var openReads: Int { reads.count }

  mutating func fail(_ text: String) {
    if failures.count < 20 { failures.append(text) }
  }

  // MARK: Entries

  /// Log Matching: an entry of a term and index is made once, and always stands behind the same entry.
  mutating func entryPlaced(on node: TestNode, at index: LogIndex) {
    guard let entry = node.entry(at: index) else { return fail("node \(node.id) has no entry \(index)") }
    let previous = LogIndex(index.rawValue - 1)
    largestEntry = max(largestEntry, entry.bytes)
    let found = Made(entry: entry, previousTerm: node.entry(at: previous)?.term ?? .zero)
    let id = EntryID(term: entry.term, index: index)
    if let before = made[id], before != found { fail("log matching: two entries \(id), on node \(node.id) the second") }
    made[id] = found
  }

  mutating func isCommitted(_ node: TestNode, through index: LogIndex, nodes: [TestNode]) {
    guard let replica = node.replica else { return }
    if index < node.applied { fail("node \(node.id): commit index went back from \(node.applied) to \(index)") }
    while node.applied < index {
      node.applied = LogIndex(node.applied.rawValue + 1)
      guard let entry = node.entry(at: node.applied) else { return fail("committed beyond the log of \(node.id)") }
      let place = Int(node.applied.rawValue) - 1
      if place < committed.count {
        if committed[place].entry != entry {
          fail("state machine safety: node \(node.id) has another entry committed at \(node.applied)")
        }
        continue
      }
      let holds = replica.members.quorum.isSatisfied { voter in
        let disk = nodes[Int(voter.rawValue) - 1].disk(meantBy: replica.members).entries
        return disk.count > place && disk[place] == entry
      }
      if !holds { fail("entry \(node.applied) is committed by node \(node.id), and not on the disks of a quorum") }
      committed.append((entry, replica.term))
    }
  }

  /// After a restart: what the disk calls committed must be.
  mutating func restarted(_ node: TestNode) {
    for place in 0..<Int(node.commit.rawValue) {
      guard place < committed.count, committed[place].entry == node.entries[place] else {
        return fail("node \(node.id) restarted with \(place + 1) called committed, which is not")
      }
    }
  }

  // MARK: Messages

  /// "Updated on stable storage before responding to RPCs": what a message promises must be on the sender's disk.
  mutating func isSent(_ message: Message, by node: TestNode, to peer: NodeID) {
    let disk = node.disk
    if case .vote(let request) = message, request.isPreVote { return }
    if case .voteReply(let reply) = message, reply.isPreVote { return }
    if message.term > disk.hardState.term { fail("node \(node.id) speaks of term \(message.term) before it is stored") }
    switch message {
    case .vote(let request): cast(node, request.term, for: node.id)
    case .voteReply(let reply) where reply.isGranted: cast(node, reply.term, for: peer)
    case .appendReply(let reply):
      guard case .accepted(let match) = reply.verdict, match > .zero else { return }
      let place = Int(match.rawValue) - 1
      if disk.entries.count <= place || disk.entries[place] != node.entry(at: match) {
        fail("node \(node.id) acknowledges \(match), which is not on its disk")
      }
    case .append, .voteReply, .timeoutNow, .readIndex, .readIndexReply: break
    }
  }

  private mutating func cast(_ node: TestNode, _ term: Term, for candidate: NodeID) {
    let key = Ballot(voter: node.id, disk: node.formerDisks.count, term: term)
    if let before = ballots[key], before != candidate {
      fail("node \(node.id) votes in term \(term) for \(before) and for \(candidate)")
    }
    ballots[key] = candidate
    if node.disk.hardState.term != term || node.disk.hardState.vote != candidate {
      fail("node \(node.id) votes in term \(term) before the vote is stored")
    }
  }

  // MARK: Reads

  mutating func readBegan(_ id: ReadID, on node: NodeID) { reads[id] = (node, committedIndex) }

  mutating func readEnded(_ id: ReadID, on node: NodeID, at index: LogIndex?) {
    guard let read = reads.removeValue(forKey: id), read.node == node else {
      return fail("read \(id.rawValue) is answered twice or on the wrong node")
    }
    guard let index else { return }
    readsAnswered += 1
    if index < read.atLeast { fail("stale read: index \(index) where \(read.atLeast) was committed before") }
    if index > committedIndex { fail("phantom read: index \(index) beyond all that is committed") }
  }

  /// The clients of a node that stops are gone.
  mutating func readsAbandoned(on node: NodeID) { reads = reads.filter { $0.value.node != node } }

  // MARK: State

  mutating func stepped(_ node: TestNode) {
    guard let replica = node.replica else { return }
    let lastTerm = node.entries.last?.term ?? .zero
    if replica.log.last.rawValue != UInt64(node.entries.count) || replica.log.lastID.term != lastTerm {
      fail("node \(node.id): the core believes in \(replica.log.lastID), its driver has \(node.entries.count) entries")
    }
    if replica.log.durable.rawValue > node.disk.entries.count {
      fail("node \(node.id): durable up to \(replica.log.durable), but the disk has \(node.disk.entries.count)")
    }
    if replica.commit != node.applied { fail("node \(node.id): commit \(replica.commit), told \(node.applied)") }
    if replica.commit > committedIndex { fail("node \(node.id): commit \(replica.commit) is ahead of the cluster") }
    guard replica.role == .leader else { return }
    if node.leaderTerm != replica.term { elected(node, replica) }
    if replica.log.last < node.leaderLast { fail("leader append-only: the log of node \(node.id) became shorter") }
    node.leaderLast = replica.log.last
    for peer in replica.progress { windowsHold(peer, replica.limits, of: node) }
  }

  private mutating func windowsHold(_ peer: Progress, _ limits: Limits, of node: TestNode) {
    if peer.windowCount > limits.windowMessages { fail("node \(node.id): \(peer.windowCount) messages in a window") }
    // A single entry that is larger than a message may be may go beyond.
    let excess = max(0, largestEntry - limits.appendBytes)
    if peer.windowBytes > limits.windowBytes + excess {
      fail("node \(node.id): \(peer.windowBytes) bytes in a window of \(limits.windowBytes)")
    }
    if peer.windowCount == 0, peer.windowBytes != 0 { fail("node \(node.id): bytes in an empty window") }
  }

  private mutating func elected(_ node: TestNode, _ replica: Replica) {
    elections += 1
    node.leaderTerm = replica.term
    node.leaderLast = .zero
    if let other = leaders[replica.term], other != node.id {
      fail("election safety: \(other) and \(node.id) lead in term \(replica.term)")
    }
    leaders[replica.term] = node.id
    for (place, item) in committed.enumerated() where item.inTerm < replica.term {
      if place >= node.entries.count || node.entries[place] != item.entry {
        fail("leader completeness: node \(node.id) leads term \(replica.term) without entry \(place + 1)")
        return
      }
    }
  }
}
