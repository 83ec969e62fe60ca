import LockstepConsensus
import LockstepWire

extension FuzzTarget {
  /// An input is: flags, where the entries begin, the term and the chain before them; then the entries.
  static var entries: FuzzTarget {
    FuzzTarget(
      "entries", about: "blocks of entries: what is taken apart is put together again, and says the same",
      maximumLength: 4096, allowance: { 64 * 1024 + 64 * $0 },
      seeds: {
        let block = Samples.block(3)
        let head = Protobuf().fixed64(1, 8).fixed64(1, 4).fixed64(1, 99).bytes
        let places = [head[1..<9], head[10..<18], head[19..<27]].joined()
        return [[0], [1], [3]].map { $0 + places + block.bytes } + [[1] + places + Samples.block(1).bytes]
      },
      run: { bytes in
        var input = FuzzInput(bytes)
        let flags = input.byte()
        var first = LogIndex(max(1, input.number(UInt64.self)))
        let term = Term(input.number(UInt64.self))
        let chain = input.number(UInt64.self)
        var region = [UInt8](input.rest())
        if flags & 1 != 0 { region = Chain.repaired(entries: region, after: chain) }
        if flags & 2 != 0 { first = EntryChecks.index(ofFirst: region) ?? first }
        do throws(WireError) {
          let block = try reading(region) { (bytes) throws(WireError) in
            try EntryBlock(slicing: bytes, first: first, previousTerm: term, previousChain: chain)
          }
          demand(block.bytes == region && block.first == first, "other bytes than were sliced")
          EntryChecks.check(block, previousTerm: term)
          return true
        } catch { return false }
      })
  }
}

/// What holds of every block that was sliced.
enum EntryChecks {
  static func check(_ block: EntryBlock, previousTerm: Term) {
    let headers = headers(of: block)
    demand(headers.count == block.count && block.terms.count == block.count, "a block that miscounts its entries")
    demand(block.ends.last ?? 0 == block.bytes.count, "bytes behind the last entry")
    demand(block.slice.count == block.count && block.lastID?.index == block.slice.last || block.isEmpty, "its slice")
    var term = previousTerm
    for (place, header) in headers.enumerated() {
      let index = block.first.advanced(by: place)
      demand(header.id == EntryID(term: block.terms[place], index: index), "entry \(index) is \(header.id)")
      demand(header.id.term >= term, "term \(header.id.term) after \(term)")
      demand(block.header(at: index) == header && block.chain(at: index) == header.chain, "two headers of \(index)")
      term = header.id.term
    }
    guard !block.isEmpty else { return }
    checkCuts(block)
    checkEncoding(block, headers)
  }

  /// The index that the first entry claims.
  static func index(ofFirst region: [UInt8]) -> LogIndex? {
    try? reading(region) { (bytes) throws(WireError) in
      var cursor = WireCursor(bytes)
      _ = try cursor.varint()
      return try EntryHeader(parsing: UnsafeRawBufferPointer(rebasing: bytes[try cursor.delimited()])).id.index
    }
  }

  private static func headers(of block: EntryBlock) -> [EntryHeader] {
    var headers: [EntryHeader] = []
    whole("a block that was sliced") { () throws(WireError) in
      try block.forEach(in: block.slice) { header, bytes throws(WireError) in
        demand(header.method.upperBound <= bytes.count && header.payload.upperBound <= bytes.count, "ranges outside")
        headers.append(header)
      }
    }
    return headers
  }

  /// Cut in the middle and joined again it is the same.
  private static func checkCuts(_ block: EntryBlock) {
    let middle = block.first.advanced(by: block.count / 2)
    var joined = block.prefix(before: middle)
    let rest = block.suffix(from: middle)
    demand(joined.count + rest.count == block.count, "a cut that loses entries")
    joined.append(contentsOf: rest)
    demand(
      joined.bytes == block.bytes && joined.ends == block.ends && joined.terms == block.terms
        && joined.lastChain == block.lastChain, "a block that was cut and joined is another")
    let last = LogSlice(first: block.last, last: block.last)
    demand(block.region(block.slice) == 0..<block.bytes.count, "the region of all")
    demand(block.region(last).upperBound == block.bytes.count, "the region of the last")
  }

  /// Written anew, each entry says the same.
  private static func checkEncoding(_ block: EntryBlock, _ headers: [EntryHeader]) {
    var copy = EntryBlock(first: block.first, previousChain: block.previousChain)
    var start = 0
    for (header, end) in zip(headers, block.ends) {
      block.bytes[start..<end].withUnsafeBytes { framed in
        var cursor = WireCursor(framed)
        let entry = whole("an entry") { () throws(WireError) in
          _ = try cursor.varint()
          return UnsafeRawBufferPointer(rebasing: framed[try cursor.delimited()])
        }
        copy.append(
          term: header.id.term, kind: header.kind, timestamp: header.timestamp,
          machineVersion: header.machineVersion, session: header.session, sequence: header.sequence,
          method: UnsafeRawBufferPointer(rebasing: entry[header.method]),
          payload: UnsafeRawBufferPointer(rebasing: entry[header.payload]))
      }
      start = end
    }
    for (old, new) in zip(headers, self.headers(of: copy)) {
      demand(
        old.id == new.id && old.kind == new.kind && old.timestamp == new.timestamp && old.session == new.session
          && old.machineVersion == new.machineVersion && old.sequence == new.sequence
          && old.method.count == new.method.count && old.payload.count == new.payload.count,
        "\(old) was written as \(new)")
    }
  }
}
