internal import CLockstepWire
internal import CProtobufC
package import LockstepConsensus

/// A LogBatch up to its entries, which are spliced behind it and sliced out of it, never packed.
package struct LogBatchHeader: Sendable, Equatable {
  package var group: GroupID
  package var hardState: HardState
  /// Of the entries; 0 when there are none.
  package var first: LogIndex
  package var previousChain: UInt64
  /// From here on the log begins behind this entry; it comes without entries.
  package var base: LogBase?

  package init(
    group: GroupID, hardState: HardState, first: LogIndex, previousChain: UInt64, base: LogBase? = nil
  ) {
    self.group = group
    self.hardState = hardState
    self.first = first
    self.previousChain = previousChain
    self.base = base
  }

  private func withMessage<Result>(_ body: (inout Lockstep__Wire__V1__LogBatch) -> Result) -> Result {
    var message = Lockstep__Wire__V1__LogBatch()
    lockstep__wire__v1__log_batch__init(&message)
    message.group = group.rawValue
    message.term = hardState.term.rawValue
    message.vote = hardState.vote?.rawValue ?? 0
    message.commit = hardState.commit.rawValue
    message.first_index = first.rawValue
    message.previous_chain = previousChain
    guard let base else { return body(&message) }
    let memory = PackMemory()
    defer { memory.free() }
    message.log_base = base.message(in: memory)
    return body(&message)
  }

  package var packedSize: Int { withMessage { lockstep__wire__v1__log_batch__get_packed_size(&$0) } }

  /// The caller has made sure of `packedSize` bytes of room. Returns how many were written.
  package func write(to target: UnsafeMutableRawPointer) -> Int {
    withMessage { lockstep__wire__v1__log_batch__pack(&$0, target.assumingMemoryBound(to: UInt8.self)) }
  }

  /// Reads a LogBatch and says where in `bytes` its entries are: from the first one to the end.
  package static func parse(
    _ bytes: UnsafeRawBufferPointer
  ) throws(WireError) -> (header: LogBatchHeader, entries: Range<Int>) {
    var (group, term, vote, commit, first, chain): (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
    var cursor = WireCursor(bytes)
    var entries = bytes.count..<bytes.count
    var base: LogBase?
    var previousTag: UInt64 = 0
    while !cursor.isAtEnd {
      let place = cursor.position
      let tag = try cursor.varint()
      if tag == UInt64(EntryBlock.tag) {
        entries = place..<bytes.count
        break
      }
      guard tag > previousTag else { throw WireError("batch fields out of order", at: place) }
      previousTag = tag
      switch tag {
      case 1 << 3: group = try cursor.varint()
      case 2 << 3: term = try cursor.varint()
      case 3 << 3: vote = try cursor.varint()
      case 4 << 3: commit = try cursor.varint()
      case 5 << 3: first = try cursor.varint()
      case 6 << 3 | 1: chain = try cursor.fixed64()
      case 7 << 3 | 2: base = try LogBase(decoding: UnsafeRawBufferPointer(rebasing: bytes[try cursor.delimited()]))
      default: throw WireError("a batch field that this version does not know (tag \(tag))", at: place)
      }
    }
    guard group > 0 else { throw WireError("a batch for a group numbered 0") }
    guard entries.isEmpty || first > 0 else { throw WireError("entries from index 0") }
    guard entries.isEmpty || base == nil else { throw WireError("entries beside a new beginning of the log") }
    let hardState = HardState(term: Term(term), vote: vote == 0 ? nil : NodeID(vote), commit: LogIndex(commit))
    let header = LogBatchHeader(
      group: GroupID(group), hardState: hardState, first: LogIndex(first), previousChain: chain, base: base)
    return (header, entries)
  }
}
