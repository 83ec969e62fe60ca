import LockstepConsensus
import LockstepDriver
import LockstepStorage
import LockstepWire

/// What is known of all nodes together, kept after every event in time in proportion to what has changed.
final class Books {
  struct Place: Equatable {
    let term: Term
    let chain: UInt64
  }

  /// The log keeps so many entries, and these come after them.
  struct Writing {
    let kept: Int
    let entries: [Place]
    let state: HardState
  }

  /// One node's part.
  final class NodeBook {
    /// Its log as the process has it, and as its disk is known to.
    var log: [Place] = []
    var stored: [Place] = []
    var storedState = HardState()
    /// What is on its way to the disk: may be there after a crash, all of it, or not.
    var writing: Writing?
    var commit: LogIndex = .zero
    var applied: LogIndex = .zero
    var leads: (term: Term, last: Int)?
  }

  struct Committed {
    let place: Place
    /// The term of the leader that committed it.
    let inTerm: Term
  }

  private struct Ballot: Hashable {
    let node: Int
    let term: Term
  }

  private(set) var failure: InvariantFailure?
  private(set) var checks = 0
  private(set) var elections = 0
  let nodes: [NodeBook]
  private let group: GroupID
  /// Nodes whose disks may lose what was synced: their part of a quorum is not counted on.
  var unreliable: [Bool]
  /// All that such a disk ever was told to keep, and said that it did.
  private var promised: [Set<EntryID>]
  private var seen: [EntryID: (chain: UInt64, bytes: [UInt8])] = [:]
  private var leaders: [Term: Int] = [:]
  private var ballots: [Ballot: NodeID] = [:]
  private(set) var committed: [Committed] = []
  private(set) var replay: Replay
  private let quorum: Int
  var now: UInt64 = 0

  init(count: Int, group: GroupID, replay: Replay) {
    nodes = (0..<count).map { _ in NodeBook() }
    unreliable = Array(repeating: false, count: count)
    promised = Array(repeating: [], count: count)
    self.group = group
    self.replay = replay
    quorum = count / 2 + 1
  }

  func fail(_ invariant: Invariant, _ message: @autoclosure () -> String) {
    if failure == nil { failure = InvariantFailure(invariant: invariant, message: message(), time: now) }
  }

  func check(_ invariant: Invariant, _ holds: Bool, _ message: @autoclosure () -> String) {
    checks += 1
    if !holds { fail(invariant, message()) }
  }

  static func name(_ place: Int) -> String { "node \(place + 1)" }

  func changeReplay<Result>(_ body: (inout Replay) -> Result) -> Result { body(&replay) }

  // MARK: After every event

  func look(at place: Int, _ node: Node) {
    guard let state = node.inspect(group) else { return }
    let book = nodes[place]
    if book.log.count != Int(state.last.index.rawValue) || book.log.last?.chain != lastChain(state) {
      followLog(place, node, state)
    }
    lookAtLeader(place, state)
    if state.hardState.commit != book.commit { followCommit(place, state) }
    if state.applied != book.applied { followApplied(place, node, state) }
    check(
      .recovery, state.durable.rawValue <= UInt64(book.stored.count) || state.durable == .zero,
      "\(Self.name(place)) believes \(state.durable) entries durable, its disk has \(book.stored.count)")
  }

  private func lastChain(_ state: GroupInspection) -> UInt64? {
    state.last.index == .zero ? nil : state.lastChain
  }

  /// Entries that are new in this node's log, and that are gone.
  private func followLog(_ place: Int, _ node: Node, _ state: GroupInspection) {
    let last = Int(state.last.index.rawValue)
    var common = min(last, nodes[place].log.count)
    while common > 0, let chain = node.chain(of: group, at: LogIndex(UInt64(common))),
      chain != nodes[place].log[common - 1].chain
    {
      common -= 1
    }
    if let leads = nodes[place].leads, state.isLeader, leads.term == state.hardState.term {
      check(.leaderAppendOnly, common >= leads.last, "\(Self.name(place)) leads and has dropped entry \(common + 1)")
    }
    nodes[place].log.removeSubrange(common...)
    var index = LogIndex(UInt64(common + 1))
    while index.rawValue <= UInt64(last) {
      guard let block = node.block(of: group, containing: index) else {
        fail(.recovery, "\(Self.name(place)) does not hold its new entry \(index) in memory")
        return
      }
      let through = min(block.last, state.last.index)
      take(place, block, LogSlice(first: index, last: through))
      index = through.next
    }
  }

  private func take(_ place: Int, _ block: EntryBlock, _ slice: LogSlice) {
    var index = slice.first
    while index <= slice.last {
      let term = block.terms[index.distance(after: block.first)]
      let chain = block.chain(at: index)
      see(EntryID(term: term, index: index), chain, block, by: place)
      if let last = nodes[place].log.last, last.term > term {
        fail(.logMatching, "\(Self.name(place)) has terms that go back at entry \(index)")
      }
      nodes[place].log.append(Place(term: term, chain: chain))
      index = index.next
    }
  }

  /// "If two entries in different logs have the same index and term, then they store the same command, and the logs are
  /// identical in all preceding entries" (Raft section 5.3): so says the chain.
  private func see(_ id: EntryID, _ chain: UInt64, _ block: EntryBlock, by place: Int) {
    checks += 1
    guard let known = seen[id] else {
      seen[id] = (chain, Array(block.bytes[block.region(LogSlice(first: id.index, last: id.index))]))
      return
    }
    if known.chain != chain {
      fail(.logMatching, "\(Self.name(place)) has another entry \(id.index) of term \(id.term) than a node before it")
    }
  }

  private func lookAtLeader(_ place: Int, _ state: GroupInspection) {
    guard state.isLeader else {
      nodes[place].leads = nil
      return
    }
    let term = state.hardState.term
    let last = nodes[place].log.count
    guard nodes[place].leads?.term != term else {
      nodes[place].leads?.last = last
      return
    }
    elections += 1
    nodes[place].leads = (term, last)
    let other = leaders[term] ?? place
    check(.electionSafety, other == place, "\(Self.name(other)) and \(Self.name(place)) lead in term \(term)")
    leaders[term] = place
    // All that was committed in earlier terms: the logs match, so the last such entry stands for those before it.
    var index = committed.count
    while index > 0, committed[index - 1].inTerm >= term { index -= 1 }
    guard index > 0 else { return }
    check(
      .leaderCompleteness, nodes[place].log.count >= index && nodes[place].log[index - 1] == committed[index - 1].place,
      "\(Self.name(place)) leads in term \(term) without the committed entry \(index)")
  }

  private func followCommit(_ place: Int, _ state: GroupInspection) {
    let from = nodes[place].commit
    let through = state.hardState.commit
    check(.commitStored, through > from, "\(Self.name(place)): the commit index went from \(from) to \(through)")
    nodes[place].commit = through
    guard through.rawValue <= UInt64(nodes[place].log.count) else {
      fail(.stateMachineSafety, "\(Self.name(place)): commit index \(through) is beyond its log")
      return
    }
    var index = Int(from.rawValue)
    while index < Int(through.rawValue), failure == nil {
      let entry = nodes[place].log[index]
      checks += 1
      if index < committed.count {
        if committed[index].place != entry {
          fail(.stateMachineSafety, "\(Self.name(place)) has another entry \(index + 1) committed than others have")
        }
      } else {
        commit(place, index, entry, state)
      }
      index += 1
    }
  }

  /// The first node that calls this entry committed.
  private func commit(_ place: Int, _ index: Int, _ entry: Place, _ state: GroupInspection) {
    // A disk that was allowed to lose what it had counts with what it has promised.
    let id = EntryID(term: entry.term, index: LogIndex(UInt64(index + 1)))
    let holders = nodes.indices.filter {
      (nodes[$0].stored.count > index && nodes[$0].stored[index] == entry) || promised[$0].contains(id)
    }
    check(
      .commitStored, holders.count >= quorum,
      "\(Self.name(place)) calls entry \(index + 1) committed, which is on \(holders.count) of \(nodes.count) disks")
    committed.append(Committed(place: entry, inTerm: state.hardState.term))
    guard let bytes = seen[id]?.bytes else { return fail(.stateMachineSafety, "entry \(id.index) was never seen") }
    if let problem = replay.apply(bytes, id) { fail(problem.invariant, problem.message) }
  }

  private func followApplied(_ place: Int, _ node: Node, _ state: GroupInspection) {
    nodes[place].applied = state.applied
    guard let digest = node.digest(of: group) else { return }
    let index = Int(state.applied.rawValue)
    guard index <= replay.digests.count else {
      fail(.stateMachineSafety, "\(Self.name(place)) has applied entry \(index), which nobody has committed")
      return
    }
    check(
      .equalDigests, index == 0 || replay.digests[index - 1] == digest,
      "\(Self.name(place)) differs from a replay of the log after entry \(index)")
  }

  // MARK: The disk

  /// A batch goes to this node's disk.
  func writeBegins(_ place: Int, _ write: LogWrite) {
    var kept = nodes[place].stored.count
    var entries: [Place] = []
    if let slice = write.slice { kept = min(kept, Int(slice.first.rawValue) - 1) }
    for block in write.blocks {
      var index = block.first
      for term in block.terms {
        let chain = block.chain(at: index)
        entries.append(Place(term: term, chain: chain))
        see(EntryID(term: term, index: index), chain, block, by: place)
        index = index.next
      }
    }
    nodes[place].writing = Writing(kept: kept, entries: entries, state: write.hardState)
  }

  /// It is there.
  func writeEnds(_ place: Int) {
    guard let writing = nodes[place].writing else { return }
    if unreliable[place] {
      for (offset, entry) in writing.entries.enumerated() {
        promised[place].insert(EntryID(term: entry.term, index: LogIndex(UInt64(writing.kept + offset + 1))))
      }
    }
    nodes[place].stored.removeSubrange(writing.kept...)
    nodes[place].stored.append(contentsOf: writing.entries)
    nodes[place].storedState = writing.state
    nodes[place].writing = nil
  }

  /// The process is gone.
  func ended(_ place: Int) {
    nodes[place].log = []
    nodes[place].commit = .zero
    nodes[place].applied = .zero
    nodes[place].leads = nil
  }

  /// It has started again, with this on its disk.
  func recovered(_ place: Int, _ node: Node, entries: () -> [Place]) {
    guard let state = node.inspect(group) else { return }
    let found = Place(term: state.last.term, chain: state.lastChain)
    var candidates = [(log: nodes[place].stored, state: nodes[place].storedState)]
    if let writing = nodes[place].writing {
      candidates.append((Array(nodes[place].stored.prefix(writing.kept)) + writing.entries, writing.state))
    }
    let count = Int(state.last.index.rawValue)
    let match = candidates.last {
      $0.log.count == count && (count == 0 || $0.log.last == found) && $0.state == state.hardState
    }
    check(
      .recovery, state.hardState.commit.rawValue <= UInt64(committed.count),
      "\(Self.name(place)) recovers commit index \(state.hardState.commit), and nobody has committed that much")
    if let match {
      nodes[place].stored = match.log
      nodes[place].storedState = match.state
    } else if !unreliable[place] {
      let expected = candidates.map { Self.words($0.log.count, $0.state) }.joined(separator: " or ")
      fail(
        .recovery,
        "\(Self.name(place)) recovers \(Self.words(count, state.hardState)); its disk was told \(expected)")
    } else {
      // It may have lost entries, or have older ones again: what counts from here on is what it has.
      nodes[place].stored = entries()
      nodes[place].storedState = state.hardState
    }
    nodes[place].writing = nil
    nodes[place].log = nodes[place].stored
    nodes[place].commit = state.hardState.commit
    nodes[place].applied = state.applied
  }

  private static func words(_ entries: Int, _ state: HardState) -> String {
    "\(entries) entries, term \(state.term), commit index \(state.commit)"
  }

  // MARK: What is sent

  /// "Updated on stable storage before responding to RPCs" (Raft figure 2).
  func isSent(_ message: Message, by place: Int, to peer: NodeID) {
    switch message {
    case .vote(let request):
      if !request.isPreVote { cast(place, request.term, for: NodeID(UInt64(place + 1))) }
    case .voteReply(let reply):
      if !reply.isPreVote, reply.isGranted { cast(place, reply.term, for: peer) }
    case .appendReply(let reply):
      guard case .accepted(let match) = reply.verdict, match > .zero else { return }
      let index = Int(match.rawValue) - 1
      let log = nodes[place].log
      check(
        .storedBeforeSent,
        index < nodes[place].stored.count && index < log.count && nodes[place].stored[index] == log[index],
        "\(Self.name(place)) acknowledges entry \(match), which is not on its disk")
    case .append, .timeoutNow, .readIndex, .readIndexReply: break
    }
  }

  private func cast(_ place: Int, _ term: Term, for candidate: NodeID) {
    let ballot = Ballot(node: place, term: term)
    let before = ballots[ballot] ?? candidate
    check(
      .oneVote, before == candidate || unreliable[place],
      "\(Self.name(place)) votes in term \(term) for node \(before) and for node \(candidate)")
    ballots[ballot] = candidate
    let state = nodes[place].storedState
    check(
      .storedBeforeSent, state.term > term || (state.term == term && state.vote == candidate) || unreliable[place],
      "\(Self.name(place)) votes in term \(term) for node \(candidate) before that is on its disk")
  }
}
