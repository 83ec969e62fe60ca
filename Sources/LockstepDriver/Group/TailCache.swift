import LockstepConsensus
import LockstepWire

/// The end of a log in memory: the blocks as they were encoded or received. The store, the links and the machine all
/// take their bytes from here.
struct TailCache {
  /// In order, without gaps.
  private(set) var blocks: [EntryBlock] = []
  private var head = 0
  /// The chain hash of the last entry of the log, whether or not it is in memory.
  private(set) var lastChain: UInt64
  private(set) var last: LogIndex

  init(last: LogIndex, lastChain: UInt64) {
    self.last = last
    self.lastChain = lastChain
  }

  private var live: ArraySlice<EntryBlock> { blocks[head...] }
  var first: LogIndex? { live.first?.first }

  /// Adds a block that follows the last entry.
  mutating func append(_ block: EntryBlock) {
    precondition(block.first == last.next && block.previousChain == lastChain, "a block that does not follow the log")
    guard !block.isEmpty else { return }
    blocks.append(block)
    last = block.last
    lastChain = block.lastChain
  }

  /// Drops the entries from `index` on; `chain` is the chain hash of the entry before it.
  mutating func truncate(from index: LogIndex, chain: UInt64) {
    guard index <= last else { return }
    while let block = live.last, block.last >= index {
      blocks.removeLast()
      let kept = block.prefix(before: index)
      if !kept.isEmpty {
        blocks.append(kept)
        break
      }
    }
    last = index.previous
    lastChain = chain
  }

  /// The chain hash at this index, or nil when it is not in memory.
  func chain(at index: LogIndex) -> UInt64? {
    if index == last { return lastChain }
    if let block = block(containing: index) { return block.chain(at: index) }
    guard let first = live.first, first.first == index.next else { return nil }
    return first.previousChain
  }

  /// The block that holds this entry.
  func block(containing index: LogIndex) -> EntryBlock? {
    var low = head
    var high = blocks.count
    while low < high {
      let middle = (low + high) / 2
      if blocks[middle].first <= index { low = middle + 1 } else { high = middle }
    }
    guard low > head, blocks[low - 1].last >= index else { return nil }
    return blocks[low - 1]
  }

  /// Calls `body` with each block and the part of `slice` in it, in order. False when some of it is not in memory.
  func forEachPart(of slice: LogSlice, _ body: (EntryBlock, LogSlice) -> Void) -> Bool {
    var index = slice.first
    while index <= slice.last {
      guard let block = block(containing: index) else { return false }
      let through = min(block.last, slice.last)
      body(block, LogSlice(first: index, last: through))
      index = through.next
    }
    return true
  }

  /// These entries, in blocks as they stand where they are whole ones. Nil when some are not in memory.
  func blocks(of slice: LogSlice) -> [EntryBlock]? {
    var result: [EntryBlock] = []
    let isComplete = forEachPart(of: slice) { block, part in
      result.append(block.slice == part ? block : block.suffix(from: part.first).prefix(before: part.last.next))
    }
    return isComplete ? result : nil
  }

  /// These entries as one block: as it stands when they are a whole one, copied together otherwise.
  func joined(_ slice: LogSlice) -> EntryBlock? { blocks(of: slice).flatMap(EntryBlock.joined) }

  /// Forgets whole blocks before `index`.
  mutating func trim(before index: LogIndex) {
    while head < blocks.count, blocks[head].last < index {
      // The memory goes at once, the place in the array later, in one move for many.
      blocks[head] = EntryBlock(first: blocks[head].last.next, previousChain: blocks[head].lastChain)
      head += 1
    }
    if head > 256, head > blocks.count / 2 {
      blocks.removeFirst(head)
      head = 0
    }
  }
}
