import LockstepConsensus
import LockstepDriver
import LockstepStorage
import LockstepWire

// What is on its way to each node's disk, what is there, and what a process finds there when it starts again.

extension Books {
  /// A batch goes to this node's disk.
  func writeBegins(_ place: Int, _ write: LogWrite, base: LogIndex?) {
    // One that was on its way before is of an older beginning.
    if let base, let reset = nodes[place].unwrittenReset, base >= reset { nodes[place].unwrittenReset = nil }
    guard nodes[place].unwrittenReset == nil else {
      nodes[place].writing = Writing(kept: nodes[place].stored.last, entries: [], state: write.hardState)
      return
    }
    var kept = nodes[place].stored.last
    var entries: [Entry] = []
    if let slice = write.slice { kept = min(kept, slice.first.previous) }
    for block in write.blocks {
      var index = block.first
      for term in block.terms {
        let chain = block.chain(at: index)
        entries.append(Entry(term: term, chain: chain))
        see(EntryID(term: term, index: index), chain, block, by: place)
        index = index.next
      }
    }
    nodes[place].writing = Writing(kept: kept, entries: entries, state: write.hardState)
  }

  /// It is there.
  func writeEnds(_ place: Int) {
    guard let writing = nodes[place].writing else { return }
    if notesStored {
      for (offset, entry) in writing.entries.enumerated() {
        onceStored[place].insert(EntryID(term: entry.term, index: writing.kept.advanced(by: offset + 1)))
      }
    }
    if unreliable[place] {
      for (offset, entry) in writing.entries.enumerated() {
        promised[place].insert(EntryID(term: entry.term, index: writing.kept.advanced(by: offset + 1)))
      }
    }
    nodes[place].stored.removeAll(after: writing.kept)
    nodes[place].stored.append(contentsOf: writing.entries)
    nodes[place].storedState = writing.state
    nodes[place].writing = nil
  }

  /// The process is gone.
  /// `applied`: in the event in which it died, too, of which it may have told another node.
  func ended(_ place: Int, applied: LogIndex?) {
    if let applied { nodes[place].applied = applied }
    nodes[place].log = Indexed(base: base.last.index)
    nodes[place].commit = .zero
    nodes[place].applied = .zero
    nodes[place].leads = nil
    nodes[place].forgetMembers()
    nodes[place].configured = []
  }

  /// The committed entries up to here, as every log has them that still has them.
  func committedEntries(through index: LogIndex) -> [Entry] {
    committed.prefix(through: index).elements.map(\.entry)
  }

  /// A node's log begins further on: with a snapshot of that, and one behind it, durable here; without the second only where
  /// there is no room.
  func compacted(_ place: Int, to base: LogIndex, snapshots: [LogIndex], hasTrimmed: Bool) {
    nodes[place].base = base
    isCompacted()
    check(
      .compactedIsKept, snapshots.contains(base) && (hasTrimmed || snapshots.contains { $0 > base }),
      "the log of \(Self.name(place)) begins behind entry \(base), and its snapshots are of \(snapshots)")
  }

  /// A snapshot of another node is whole and durable here.
  func arrived(_ place: Int, _ index: LogIndex, _ term: Term) {
    check(
      .compactedIsKept, index <= committed.last,
      "\(Self.name(place)) has got a snapshot up to entry \(index), which nobody has committed")
    nodes[place].arrived = (index, term)
  }

  /// A node's log begins anew behind what has arrived, of which it has nothing else.
  func reset(_ place: Int, to base: LogIndex, snapshots: [LogIndex]) {
    let book = nodes[place]
    check(
      .compactedIsKept, snapshots.contains(base) && book.arrived?.index == base && base <= committed.last,
      "the log of \(Self.name(place)) begins anew behind entry \(base), and its snapshots are of \(snapshots)")
    check(
      .commitStored, book.commit < base,
      "\(Self.name(place)) gives up a log that is committed up to entry \(book.commit) for a snapshot up to \(base)")
    let entries = committedEntries(through: base)
    (book.log, book.stored) = (
      Indexed(base: self.base.last.index, entries), Indexed(base: self.base.last.index, entries)
    )
    if let writing = book.writing { book.writing = Writing(kept: base, entries: [], state: writing.state) }
    book.unwrittenReset = base
    book.base = base
  }

  /// What a start may find: a log, and term, vote and commit index beside it.
  struct Recoverable {
    let log: Indexed<Entry>
    var state: HardState
  }

  /// What is stored, or that and what is on its way to the disk; the log of each, if a snapshot of another node has arrived
  /// beside it, begins behind that.
  func recoverable(_ place: Int, arrived: (index: LogIndex, term: Term)?) -> [Recoverable] {
    var found = [Recoverable(log: nodes[place].stored, state: nodes[place].storedState)]
    if let writing = nodes[place].writing {
      var log = nodes[place].stored.prefix(through: writing.kept)
      log.append(contentsOf: writing.entries)
      found.append(Recoverable(log: log, state: writing.state))
    }
    guard let arrived else { return found }
    return found + found.compactMap { completed($0.log, $0.state, place, arrived) }
  }

  private func completed(
    _ log: Indexed<Entry>, _ state: HardState, _ place: Int, _ arrived: (index: LogIndex, term: Term)
  ) -> Recoverable? {
    guard let last = committed[arrived.index]?.entry else { return nil }
    guard nodes[place].unwrittenReset != nil || log[arrived.index] != last else { return nil }
    var state = state
    let term = max(arrived.term, last.term)
    if term > state.term { (state.term, state.vote) = (term, nil) }
    state.commit = max(state.commit, arrived.index)
    return Recoverable(log: Indexed(base: base.last.index, committedEntries(through: arrived.index)), state: state)
  }

  /// It has started again, with this on its disk. `onDisk`: term, vote and commit index as the log has them; `noted`: what
  /// others have acknowledged, as its disk has that. `entries` is asked where a disk may have lost some.
  func recovered(
    _ place: Int, _ node: Node, onDisk: HardState, noted: [Acknowledged],
    entries: () throws(StorageError) -> [Entry]
  ) throws(StorageError) {
    guard let state = node.inspect(group) else { return }
    if let disk = node.configuration.disk { began(place, disk: disk) }
    let found = Entry(term: state.last.term, chain: state.lastChain)
    let candidates = recoverable(place, arrived: nodes[place].arrived)
    let match = candidates.last {
      // Of a write that was under way its commit index tells whether it was made.
      guard $0.state == onDisk else { return false }
      var expected = $0.state
      // What a snapshot holds, or others have acknowledged, is committed, whatever the hint beside the log says.
      expected.commit = max(expected.commit, state.applied)
      for one in noted where one.group == group && one.term <= ($0.log.lastElement ?? found).term {
        expected.commit = max(expected.commit, min(one.index, $0.log.last))
      }
      return $0.log.last == state.last.index && ($0.log.lastElement ?? found) == found && expected == state.hardState
    }
    check(
      .recovery, state.hardState.commit <= committed.last,
      "\(Self.name(place)) recovers commit index \(state.hardState.commit), and nobody has committed that much")
    if let match {
      nodes[place].stored = match.log
      nodes[place].storedState = match.state
    } else if !unreliable[place] {
      let expected = candidates.map { Self.words($0.log.last, $0.state) }.joined(separator: " or ")
      fail(
        .recovery,
        "\(Self.name(place)) recovers \(Self.words(state.last.index, state.hardState)); its disk was told \(expected)")
    } else {
      // It may have lost entries, or have older ones again: what counts from here on is what it has.
      nodes[place].stored = Indexed(base: base.last.index, try entries())
      nodes[place].storedState = state.hardState
    }
    if state.applied > base.last.index, let digest = node.digest(of: group) {
      check(
        .equalDigests, replay.outcomes[state.applied]?.digest == digest,
        "\(Self.name(place)) restores a snapshot up to entry \(state.applied) that differs from a replay of the log")
    }
    nodes[place].base = state.base
    nodes[place].writing = nil
    nodes[place].arrived = nil
    nodes[place].unwrittenReset = nil
    nodes[place].log = nodes[place].stored
    nodes[place].commit = state.hardState.commit
    nodes[place].applied = state.applied
  }

  private static func words(_ last: LogIndex, _ state: HardState) -> String {
    "a log up to entry \(last), term \(state.term), commit index \(state.commit)"
  }
}
