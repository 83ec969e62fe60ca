import LockstepConsensus
import LockstepDriver
import LockstepStorage
import LockstepWire

/// What is known of all nodes together, kept after every event in time in proportion to what has changed.
final class Books {
  /// One entry of a log, and by its chain all that is before it.
  struct Entry: Equatable {
    let term: Term
    let chain: UInt64
  }

  /// The log keeps its entries up to this index, and these come after them.
  struct Writing {
    let kept: LogIndex
    let entries: [Entry]
    let state: HardState
  }

  /// What a log begins after: the last entry that a snapshot covers, with its chain; or nothing.
  struct Base {
    var last = EntryID.zero
    var chain: UInt64 = 0
  }

  /// One node's part.
  final class NodeBook {
    /// Its log as the process has it, and as its disk is known to.
    var log: Indexed<Entry>
    var stored: Indexed<Entry>
    var storedState = HardState()
    /// What is on its way to the disk: may be there after a crash, all of it, or not.
    var writing: Writing?
    var commit: LogIndex = .zero
    /// Its log begins behind this entry.
    var base: LogIndex = .zero
    var applied: LogIndex = .zero { didSet { mostApplied = max(mostApplied, applied) } }
    /// By any of its processes.
    private(set) var mostApplied: LogIndex = .zero
    /// A snapshot of another node is durable here, and the next start has the log begin behind it at the latest.
    var arrived: (index: LogIndex, term: Term)?
    /// The log begins anew behind this, and the disk has still to be told: what it is told before is of no use.
    var unwrittenReset: LogIndex?
    var leads: (term: Term, last: LogIndex)?
    /// Of those that it has lost, what was on each; the present one is the next.
    var formerDisks: [Indexed<Entry>] = []
    /// By what each is known to the others, as far as it was started with.
    var diskIDs: [[UInt8]] = []
    /// The first committed configuration that names the present one, if it came in place of another.
    var named: LogIndex?
    /// Its configuration as the process has it, and where the entries of the last ones are, since it began.
    private(set) var members: Members?
    private(set) var configuration: LogIndex?
    var configured: [LogIndex] = []

    init(base: LogIndex) {
      log = Indexed(base: base)
      stored = Indexed(base: base)
    }

    func configured(_ members: Members, by index: LogIndex) {
      self.members = members
      configuration = index
    }

    /// The next process has to say who they are.
    func forgetMembers() { (members, configuration) = (nil, nil) }
  }

  struct Committed {
    let entry: Entry
    /// The term of the leader that committed it.
    let inTerm: Term
  }

  struct Ballot: Hashable {
    let node: Int
    /// Another disk has promised nothing yet.
    let disk: Int
    let term: Term
  }

  private(set) var failure: InvariantFailure?
  var checks = 0
  private(set) var elections = 0
  let nodes: [NodeBook]
  let group: GroupID
  /// Nodes whose disks may lose what was synced: their part of a quorum is not counted on.
  var unreliable: [Bool]
  /// All that such a disk ever was told to keep, and said that it did.
  var promised: [Set<EntryID>]
  /// What each node's disks have ever had; noted where clients ask whether the leader's has it.
  var onceStored: [Set<EntryID>]
  let notesStored: Bool
  private var seen: [EntryID: (chain: UInt64, bytes: [UInt8])] = [:]
  private(set) var leaders: [Term: Int] = [:]
  var ballots: [Ballot: NodeID] = [:]
  let base: Base
  private(set) var committed: Indexed<Committed>
  private(set) var replay: Replay
  /// The configuration by all that is committed; nil: that of the beginning.
  private(set) var members: Members?
  /// Of the smallest configuration that any node has had.
  var leastQuorum: Int
  /// A node whose disk was replaced votes again.
  var isAdmittedAgain: () -> Void = {}
  /// Of which entries a node's disk has the state.
  var durableSnapshots: (Int) -> [LogIndex] = { _ in [] }
  /// For want of room one of them has to do.
  var hasTrimmed: (Int) -> Bool = { _ in false }
  /// A log begins further on.
  var isCompacted: () -> Void = {}
  var now: UInt64 = 0

  init(count: Int, group: GroupID, replay: Replay, base: Base = Base(), notesStored: Bool = true) {
    self.notesStored = notesStored
    onceStored = Array(repeating: [], count: count)
    nodes = (0..<count).map { _ in NodeBook(base: base.last.index) }
    committed = Indexed(base: base.last.index)
    self.base = base
    unreliable = Array(repeating: false, count: count)
    promised = Array(repeating: [], count: count)
    self.group = group
    self.replay = replay
    leastQuorum = count / 2 + 1
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
    var isReconfigured = book.configuration != state.configuration
    if state.base > book.base, book.log[state.base] != committed[state.base]?.entry {
      reset(place, to: state.base, snapshots: durableSnapshots(place))
      isReconfigured = true
    }
    if book.log.last != state.last.index || (book.log.lastElement?.chain ?? base.chain) != state.lastChain {
      followLog(place, node, state)
      // Another one may be in the same place.
      isReconfigured = true
    }
    lookAtLeader(place, state)
    if isReconfigured, let members = node.members(of: group) {
      checkCaughtUp(place, members, state)
      book.configured(members, by: state.configuration)
      leastQuorum = min(leastQuorum, members.voters.count / 2 + 1)
    }
    if state.base != book.base {
      compacted(place, to: state.base, snapshots: durableSnapshots(place), hasTrimmed: hasTrimmed(place))
    }
    if state.hardState.commit != book.commit { followCommit(place, state) }
    if state.applied != book.applied { followApplied(place, node, state) }
    check(
      .recovery, state.durable <= book.stored.last,
      "\(Self.name(place)) believes entry \(state.durable) durable, the last on its disk is \(book.stored.last)")
    if state.durable > book.base {
      check(
        .recovery, book.stored[state.durable] == book.log[state.durable] || book.unwrittenReset != nil,
        "\(Self.name(place)) believes its entry \(state.durable) durable, and its disk has another one there")
    }
  }

  /// Entries that are new in this node's log, and that are gone.
  private func followLog(_ place: Int, _ node: Node, _ state: GroupInspection) {
    var common = min(state.last.index, nodes[place].log.last)
    while let known = nodes[place].log[common], let chain = node.chain(of: group, at: common), chain != known.chain {
      common = common.previous
    }
    if let leads = nodes[place].leads, state.isLeader, leads.term == state.hardState.term {
      check(.leaderAppendOnly, common >= leads.last, "\(Self.name(place)) leads and has dropped entry \(common.next)")
    }
    nodes[place].log.removeAll(after: common)
    nodes[place].configured.removeAll { $0 > common }
    var index = common.next
    while index <= state.last.index {
      guard let block = node.block(of: group, containing: index) else {
        fail(.recovery, "\(Self.name(place)) does not hold its new entry \(index) in memory")
        return
      }
      let through = min(block.last, state.last.index)
      take(place, block, LogSlice(first: index, last: through))
      lookForConfigurations(place, block, LogSlice(first: index, last: through), state)
      index = through.next
    }
  }

  private func take(_ place: Int, _ block: EntryBlock, _ slice: LogSlice) {
    var index = slice.first
    while index <= slice.last {
      let term = block.terms[index.distance(after: block.first)]
      let chain = block.chain(at: index)
      see(EntryID(term: term, index: index), chain, block, by: place)
      if let last = nodes[place].log.lastElement, last.term > term {
        fail(.logMatching, "\(Self.name(place)) has terms that go back at entry \(index)")
      }
      nodes[place].log.append(Entry(term: term, chain: chain))
      index = index.next
    }
  }

  /// "If two entries in different logs have the same index and term, then they store the same command, and the logs are
  /// identical in all preceding entries" (Raft section 5.3): so says the chain.
  func see(_ id: EntryID, _ chain: UInt64, _ block: EntryBlock, by place: Int) {
    checks += 1
    guard let known = seen[id] else {
      seen[id] = (chain, Array(block.bytes[block.region(LogSlice(first: id.index, last: id.index))]))
      return
    }
    if known.chain != chain {
      fail(.logMatching, "\(Self.name(place)) has another entry \(id.index) of term \(id.term) than a node before it")
    }
  }

  func seenBytes(of id: EntryID) -> [UInt8]? { seen[id]?.bytes }

  private func lookAtLeader(_ place: Int, _ state: GroupInspection) {
    guard state.isLeader else {
      nodes[place].leads = nil
      return
    }
    let term = state.hardState.term
    let last = nodes[place].log.last
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
    var index = committed.last
    while let known = committed[index], known.inTerm >= term { index = index.previous }
    guard let known = committed[index] else { return }
    check(
      .leaderCompleteness, nodes[place].log[index] == known.entry,
      "\(Self.name(place)) leads in term \(term) without the committed entry \(index)")
  }

  private func followCommit(_ place: Int, _ state: GroupInspection) {
    let from = nodes[place].commit
    let through = state.hardState.commit
    check(.commitStored, through > from, "\(Self.name(place)): the commit index went from \(from) to \(through)")
    nodes[place].commit = through
    var index = max(from, base.last.index).next
    while index <= through, failure == nil {
      guard let entry = nodes[place].log[index] else {
        fail(.stateMachineSafety, "\(Self.name(place)): commit index \(through) is beyond its log")
        return
      }
      checks += 1
      if let known = committed[index] {
        if known.entry != entry {
          fail(.stateMachineSafety, "\(Self.name(place)) has another entry \(index) committed than others have")
        }
      } else {
        commit(place, index, entry, state)
      }
      index = index.next
    }
  }

  /// The first node that calls this entry committed.
  private func commit(_ place: Int, _ index: LogIndex, _ entry: Entry, _ state: GroupInspection) {
    // A disk that was allowed to lose what it had counts with what it has promised.
    let id = EntryID(term: entry.term, index: index)
    // "Only log entries from the leader's current term are committed by counting replicas" (Raft section 5.4.2).
    check(
      .commitStored, !state.isLeader || nodes[place].log[state.hardState.commit]?.term == state.hardState.term,
      "\(Self.name(place)) leads in term \(state.hardState.term) and commits entry \(state.hardState.commit) of an earlier one"
    )
    guard let members = nodes[place].members else { return }
    let isStored = members.quorum.isSatisfied { voter in
      let other = Int(voter.rawValue) - 1
      return disk(of: other, meantBy: members)?[index] == entry || promised[other].contains(id)
    }
    check(
      .commitStored, isStored,
      "\(Self.name(place)) calls entry \(index) committed, which is not on the disks of a majority of its voters")
    committed.append(Committed(entry: entry, inTerm: state.hardState.term))
    guard let bytes = seen[id]?.bytes else { return fail(.stateMachineSafety, "entry \(id.index) was never seen") }
    if let problem = replay.apply(bytes, id) { fail(problem.invariant, problem.message) }
    if let next = replay.configurations[index] { configure(next, at: index) }
  }

  private func configure(_ next: Members, at index: LogIndex) {
    for place in nodes.indices where nodes[place].named == nil {
      guard let disk = next.disk(of: NodeID(UInt64(place + 1))), disk == nodes[place].diskIDs.last else { continue }
      nodes[place].named = index
    }
    let before = nodes.indices.filter { votes($0) }
    members = next
    for place in nodes.indices where votes(place) && !before.contains(place) { isAdmittedAgain() }
  }

  private func followApplied(_ place: Int, _ node: Node, _ state: GroupInspection) {
    nodes[place].applied = state.applied
    guard let digest = node.digest(of: group), state.applied > base.last.index else { return }
    guard let outcome = replay.outcomes[state.applied] else {
      fail(.stateMachineSafety, "\(Self.name(place)) has applied entry \(state.applied), which nobody has committed")
      return
    }
    check(
      .equalDigests, outcome.digest == digest,
      "\(Self.name(place)) differs from a replay of the log after entry \(state.applied)")
  }
}
