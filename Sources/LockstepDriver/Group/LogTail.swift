import LockstepConsensus
import LockstepRequests
import LockstepStorage
import LockstepWire

/// The end of one group's log as this node has it in memory: entries are encoded or taken over here once, and written,
/// sent and applied from here.
final class LogTail {
  private let group: GroupID
  private let context: NodeContext
  private var cache: TailCache
  /// The leader's time stamp of the last entry; never goes back.
  private var lastTimestamp: UInt64
  /// To be written, in this order.
  private var writes: [Write] = []
  /// To be written before them: from now on the log begins behind this entry.
  private var base: LogBase?
  /// Entries that came with the message that is being stepped.
  private var received: EntryBlock?
  /// Entries read from the disk for the step that is under way.
  private var loaded: [EntryBlock] = []

  init(group: GroupID, context: NodeContext, last: LogIndex, lastChain: UInt64, lastTimestamp: UInt64) {
    self.group = group
    self.context = context
    self.lastTimestamp = lastTimestamp
    cache = TailCache(last: last, lastChain: lastChain)
  }

  var last: LogIndex { cache.last }
  var lastChain: UInt64 { cache.lastChain }
  /// Of the entries that are in memory.
  var bytes: Int { cache.blocks.reduce(0) { $0 + $1.bytes.count } }
  var areWritesDue: Bool { !writes.isEmpty || base != nil }
  func chain(at index: LogIndex) -> UInt64? { cache.chain(at: index) }
  func block(containing index: LogIndex) -> EntryBlock? { cache.block(containing: index) }
  func timestamp(at index: LogIndex) -> UInt64? { cache.block(containing: index)?.header(at: index)?.timestamp }

  /// Forgets whole blocks before `index`.
  func trim(before index: LogIndex) { cache.trim(before: index) }

  // MARK: What comes in

  /// `body` steps a message that came with these entries.
  func receiving(_ entries: EntryBlock?, _ body: () -> Void) {
    received = entries
    body()
    received = nil
  }

  /// Whether entries whose sender gives this history to `previous`, which is in the log, may be what it is followed by. The
  /// same entry with another history is against Log Matching (Raft figure 3): one of the two logs is not what it was.
  func mayFollow(_ previous: EntryID, _ previousChain: UInt64) -> Bool {
    guard previousChain != 0, let chain = cache.chain(at: previous.index) else { return true }
    return chain == previousChain
  }

  /// `body` steps entries that were read from the disk for a follower, if they are still in the log: they may have been
  /// replaced meanwhile.
  func loading(_ blocks: [EntryBlock], _ log: Log, _ body: (LogSlice?, _ bytes: Int) -> Void) {
    let isCurrent = blocks.allSatisfy { $0.lastID.map(log.contains) ?? true }
    let slice = blocks.first.map { LogSlice(first: $0.first, last: (blocks.last ?? $0).last) }
    loaded = blocks
    body(isCurrent ? slice : nil, blocks.reduce(0) { $0 + $1.bytes.count })
    loaded = []
  }

  /// Encodes what the leader appends; from here on these bytes are the entry, everywhere.
  func encode(_ first: EntryID, _ count: Int, _ content: AppendedContent, _ proposals: Proposals) {
    let chain = cache.lastChain
    lastTimestamp = max(lastTimestamp, context.wall)
    let timestamp = lastTimestamp
    var block = EntryBlock(first: first.index, previousChain: chain)
    switch content {
    case .noOperation: block.append(term: first.term, kind: .noOperation, timestamp: timestamp)
    case .configuration(let members):
      Codec.packed(members).withUnsafeBytes {
        block.append(term: first.term, kind: .configuration, timestamp: timestamp, payload: $0)
      }
    case .proposal:
      proposals.withArrived { calls in
        let capacity = calls.callBytes + count * EntryBlock.overheadBytes
        block = EntryBlock(first: first.index, previousChain: chain, entries: count, capacity: capacity) { writer in
          calls.bytes.withUnsafeBytes { bytes in
            calls.forEach { options, method, payload in
              writer.append(
                term: first.term, kind: options.isForSessions ? .session : .command, timestamp: timestamp,
                session: options.session,
                sequence: options.sequence, method: UnsafeRawBufferPointer(rebasing: bytes[method]),
                payload: UnsafeRawBufferPointer(rebasing: bytes[payload]))
            }
          }
        }
      }
    }
    cache.append(block)
  }

  /// Takes these of the entries that were received, in place of all it has from the first of them on. Returns whether it
  /// had any; nil when the entry before them, which both logs have, has another history here.
  func accept(_ slice: LogSlice) -> Bool? {
    guard let block = received else { return false }
    let chain = block.chain(at: slice.first.previous)
    // Equal ids mean equal histories (Log Matching, Raft figure 3): else one of the two logs is not what it was.
    if let known = cache.chain(at: slice.first.previous), known != chain { return nil }
    let isReplacing = cache.last >= slice.first
    cache.truncate(from: slice.first, chain: chain)
    guard cache.lastChain == chain else { return nil }
    let taken = block.suffix(from: slice.first)
    cache.append(taken)
    if let header = taken.header(at: taken.last) { lastTimestamp = max(lastTimestamp, header.timestamp) }
    return isReplacing
  }

  // MARK: What goes out

  /// `body` gets the bytes of these entries and the chain hash of the entry before them. Those that have left the memory
  /// are not sent; the next heartbeat finds that out.
  func withEntries(_ slice: LogSlice, _ body: (UnsafeRawBufferPointer, _ previousChain: UInt64) -> Void) {
    if let block = cache.block(containing: slice.first), block.last >= slice.last {
      Self.withEntries(slice, of: block, body)
    } else if let block = cache.joined(slice) ?? joinLoaded(slice) {
      Self.withEntries(slice, of: block, body)
    }
  }

  private static func withEntries(
    _ slice: LogSlice, of block: EntryBlock, _ body: (UnsafeRawBufferPointer, _ previousChain: UInt64) -> Void
  ) {
    let chain = block.chain(at: slice.first.previous)
    block.bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[block.region(slice)]), chain) }
  }

  private func joinLoaded(_ slice: LogSlice) -> EntryBlock? {
    guard loaded.first?.first == slice.first, loaded.last?.last == slice.last else { return nil }
    return EntryBlock.joined(loaded)
  }

  // MARK: Writes

  func add(_ write: Write) { writes.append(write) }

  /// From now on the log begins behind this entry: to be written with what comes next.
  func begin(behind base: LogBase) { self.base = base }

  /// Nothing of the log is of use any more: it begins behind this entry. What was to be written of it is not, but for terms
  /// and votes.
  func reset(to base: LogBase, time: UInt64) {
    cache = TailCache(last: base.id.index, lastChain: base.chain)
    writes = writes.map { Write(id: $0.id, hardState: $0.hardState, entries: nil) }
    lastTimestamp = max(lastTimestamp, time)
    self.base = base
  }

  /// What waits to be written, or as much of it as one append takes; `note` gets the id of each write in it.
  func takeWrites(_ log: Log, _ state: HardState, note: (WriteID) -> Void, into list: inout [LogWrite]) {
    var next = writes.isEmpty ? nil : takeWrite(log, commit: state.commit, note: note)
    if let base {
      var hardState = next?.hardState ?? state
      if next == nil { hardState.commit = min(hardState.commit, log.durable) }
      list.append(LogWrite(group: group, hardState: hardState, base: base))
      self.base = nil
    }
    if let write = next.take() { list.append(write) }
  }

  private func takeWrite(_ log: Log, commit: LogIndex, note: (WriteID) -> Void) -> LogWrite {
    let count = writesOfOneAppend(log)
    var slice: LogSlice?
    for write in writes[..<count] {
      if let entries = write.entries {
        slice = LogSlice(first: min(slice?.first ?? entries.first, entries.first), last: entries.last)
      }
      note(write.id)
    }
    var hardState = writes[count - 1].hardState
    let last = count == writes.count ? cache.last : slice?.last ?? log.durable
    hardState.commit = min(commit, last)
    writes.removeFirst(count)
    var blocks: [EntryBlock]? = []
    if let slice, slice.first <= last { blocks = cache.blocks(of: LogSlice(first: slice.first, last: last)) }
    guard let blocks else { preconditionFailure("entries that are not on the disk have left the memory") }
    return LogWrite(group: group, hardState: hardState, blocks: blocks)
  }

  /// How many of the writes that wait make one append: all of them, if they are not too long together, and else as many
  /// as fit. The first part of much is durable, and answered, while the rest is written.
  private func writesOfOneAppend(_ log: Log) -> Int {
    var (count, bytes) = (0, 0)
    while count < writes.count {
      bytes += writes[count].entries.map { log.bytes($0) } ?? 0
      if bytes > context.limits.appendBytes, count > 0 { break }
      count += 1
    }
    // What a later write replaces is no longer there to be written.
    guard count < writes.count, let last = writes[..<count].last(where: { $0.entries != nil })?.entries?.last else {
      return writes.count
    }
    return writes[count...].contains { $0.entries.map { $0.first <= last } ?? false } ? writes.count : count
  }

  // MARK: Invariants

  func check(_ log: Log) {
    precondition(cache.last == log.last, "the tail ends at \(cache.last), the log at \(log.last)")
    precondition(received == nil && loaded.isEmpty, "entries of a message that has been stepped")
  }
}
