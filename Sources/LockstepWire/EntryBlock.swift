internal import CProtobufC
package import LockstepConsensus

/// Consecutive entries in the one encoding that the log, the wire and the machine share: for each entry the tag of
/// field 15, its length and its bytes. That is how protobuf writes `repeated Entry entries = 15`, so a block is the
/// tail of an AppendRequest and of a LogBatch as it stands.
package struct EntryBlock: Sendable {
  package private(set) var bytes: [UInt8]
  /// For each entry, where its bytes end within `bytes`.
  package private(set) var ends: [Int]
  /// For each entry, its term.
  package private(set) var terms: [Term]
  package let first: LogIndex
  /// Of the last entry; before `first` when there is none. Stored, so that nobody copies the arrays to ask for it.
  package private(set) var last: LogIndex
  /// The chain hash of the entry before the first, and of the last.
  package let previousChain: UInt64
  package private(set) var lastChain: UInt64

  /// The tag of field 15, length-delimited.
  package static let tag: UInt8 = 15 << 3 | 2

  /// An empty block, to be filled with `append`, whose first entry will be `first`.
  package init(first: LogIndex, previousChain: UInt64) {
    self.first = first
    last = first.previous
    self.previousChain = previousChain
    lastChain = previousChain
    bytes = []
    ends = []
    terms = []
  }

  package var count: Int { ends.count }
  package var isEmpty: Bool { ends.isEmpty }
  package var slice: LogSlice { LogSlice(first: first, last: last) }
  package var lastID: EntryID? { terms.last.map { EntryID(term: $0, index: last) } }

  /// Encodes entries, one after the other, into `capacity` bytes, which must be enough: for each entry `overheadBytes`, its
  /// method and its payload.
  package init(
    first: LogIndex, previousChain: UInt64, entries: Int, capacity: Int, _ body: (inout EntryWriter) -> Void
  ) {
    self.first = first
    self.previousChain = previousChain
    var writer = EntryWriter(first: first, chain: previousChain, entries: entries)
    bytes = [UInt8](unsafeUninitializedCapacity: capacity) { memory, count in
      writer.target = UnsafeMutableRawBufferPointer(memory)
      body(&writer)
      count = writer.count
    }
    (ends, terms, lastChain) = (writer.ends, writer.terms, writer.chain)
    last = Self.last(first, ends)
  }

  /// Slices bytes that came from a peer or a disk into entries, and believes nothing: indexes must be consecutive from
  /// `first`, terms must not go back, and each chain hash must follow from the one before. `look` gets each header and
  /// payload, borrowed.
  package init(
    slicing region: UnsafeRawBufferPointer, first: LogIndex, previousTerm: Term, previousChain: UInt64,
    look: (EntryHeader, UnsafeRawBufferPointer) throws(WireError) -> Void = { (_, _) throws(WireError) in }
  ) throws(WireError) {
    self.init(first: first, previousChain: previousChain)
    var cursor = WireCursor(region)
    var term = previousTerm
    while !cursor.isAtEnd {
      let place = cursor.position
      guard try cursor.varint() == UInt64(Self.tag) else {
        throw WireError("entries are not the last field", at: place)
      }
      let entry = UnsafeRawBufferPointer(rebasing: region[try cursor.delimited()])
      let header = try EntryHeader(parsing: entry)
      let index = first.advanced(by: ends.count)
      guard header.id.index == index else {
        throw WireError("entry \(header.id.index) stands where \(index) belongs", at: place)
      }
      guard header.id.term >= term else {
        throw WireError("entry \(index) has term \(header.id.term), the one before it \(term)", at: place)
      }
      term = header.id.term
      guard header.chain == EntryHeader.expectedChain(of: entry, after: lastChain) else {
        throw WireError("the hash chain breaks at entry \(index)", at: place)
      }
      try look(header, UnsafeRawBufferPointer(rebasing: entry[header.payload]))
      lastChain = header.chain
      ends.append(cursor.position)
      terms.append(term)
    }
    bytes = [UInt8](region)
    last = Self.last(first, ends)
  }

  private static func last(_ first: LogIndex, _ ends: [Int]) -> LogIndex {
    ends.isEmpty ? first.previous : first.advanced(by: ends.count - 1)
  }

  /// The byte range of these entries (with their tags and lengths) within `bytes`; they must lie in the block.
  package func region(_ wanted: LogSlice) -> Range<Int> {
    guard !wanted.isEmpty else { return 0..<0 }
    let from = wanted.first.distance(after: first)
    let through = wanted.last.distance(after: first)
    return (from == 0 ? 0 : ends[from - 1])..<ends[through]
  }

  /// Hands each entry of the slice, its header and its bytes, to `body`, in order.
  package func forEach(
    in wanted: LogSlice, _ body: (EntryHeader, UnsafeRawBufferPointer) throws(WireError) -> Void
  ) throws(WireError) {
    let range = region(wanted)
    var failure: WireError?
    bytes.withUnsafeBytes { all in
      let region = UnsafeRawBufferPointer(rebasing: all[range])
      var cursor = WireCursor(region)
      do throws(WireError) {
        while !cursor.isAtEnd {
          _ = try cursor.varint()
          let entry = UnsafeRawBufferPointer(rebasing: region[try cursor.delimited()])
          try body(EntryHeader(parsing: entry), entry)
        }
      } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// The chain hash of the entry at this index, which is in the block or just before it.
  package func chain(at index: LogIndex) -> UInt64 {
    if index < first { return previousChain }
    let end = ends[index.distance(after: first)]
    return bytes.withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: end - 8, as: UInt64.self))
    }
  }

  /// This block without the entries before `index`.
  package func suffix(from index: LogIndex) -> EntryBlock {
    guard index > first else { return self }
    var rest = EntryBlock(first: index, previousChain: chain(at: index.previous))
    let dropped = index.distance(after: first)
    guard dropped < count else { return rest }
    let cut = ends[dropped - 1]
    rest.bytes = Array(bytes[cut...])
    rest.ends = ends[dropped...].map { $0 - cut }
    rest.terms = Array(terms[dropped...])
    (rest.last, rest.lastChain) = (last, lastChain)
    return rest
  }

  /// This block without the entries from `index` on.
  package func prefix(before index: LogIndex) -> EntryBlock {
    guard index <= last else { return self }
    var rest = EntryBlock(first: first, previousChain: previousChain)
    let kept = index.distance(after: first)
    guard kept > 0 else { return rest }
    rest.bytes = Array(bytes[..<ends[kept - 1]])
    rest.ends = Array(ends[..<kept])
    rest.terms = Array(terms[..<kept])
    (rest.last, rest.lastChain) = (index.previous, chain(at: index.previous))
    return rest
  }
}

extension UnsafeRawBufferPointer {
  /// As protobuf-c's bytes: borrowed, valid as long as the buffer is.
  var asProtobufBytes: ProtobufCBinaryData {
    ProtobufCBinaryData(
      len: count, data: UnsafeMutablePointer(mutating: baseAddress?.assumingMemoryBound(to: UInt8.self)))
  }
}

extension EntryBlock {
  /// Blocks that follow each other as one; nil for none.
  package static func joined(_ blocks: [EntryBlock]) -> EntryBlock? {
    guard var result = blocks.first else { return nil }
    for block in blocks.dropFirst() { result.append(contentsOf: block) }
    return result
  }

  /// Adds the entries of a block that follows this one.
  package mutating func append(contentsOf next: EntryBlock) {
    precondition(next.first == last.next && next.previousChain == lastChain, "blocks that do not follow each other")
    let shift = bytes.count
    bytes.append(contentsOf: next.bytes)
    ends.append(contentsOf: next.ends.map { $0 + shift })
    terms.append(contentsOf: next.terms)
    (last, lastChain) = (next.last, next.lastChain)
  }

  /// The header of one entry of the block.
  package func header(at index: LogIndex) -> EntryHeader? {
    guard index >= first, index <= last else { return nil }
    var header: EntryHeader?
    do throws(WireError) {
      try forEach(in: LogSlice(first: index, last: index)) { entry, _ throws(WireError) in header = entry }
    } catch { return nil }
    return header
  }
}
