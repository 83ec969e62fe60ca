import LockstepConsensus
import Testing

@testable import LockstepWire

@Suite("Entries")
struct EntryBlockTests {
  private func slice(
    _ bytes: [UInt8], first: UInt64 = 8, term: UInt64 = 4, chain: UInt64 = 99
  ) throws(WireError) -> EntryBlock {
    try reading(bytes) { (bytes) throws(WireError) in
      try EntryBlock(slicing: bytes, first: LogIndex(first), previousTerm: Term(term), previousChain: chain)
    }
  }

  /// An entry with these fields and a chain hash that follows from `previous`.
  private func entry(_ fields: [UInt8], after previous: UInt64) -> [UInt8] {
    let chain = Checksum.of(fields, seed: previous)
    return field(15, fields + fixed(15, chain))
  }

  @Test("block: appended entries are sliced to the same block; prefix, suffix, joined and chain agree at every cut")
  func cuts() throws {
    let block = Sample.block(9)
    let sliced = try slice(block.bytes)
    #expect(sliced.bytes == block.bytes && sliced.ends == block.ends && sliced.terms == block.terms)
    #expect(sliced.lastChain == block.lastChain && sliced.last == LogIndex(16) && block.lastID?.index == LogIndex(16))
    for cut in 7...17 as ClosedRange<UInt64> {
      let index = LogIndex(cut)
      var head = block.prefix(before: index)
      let tail = block.suffix(from: index)
      #expect(head.count + tail.count == block.count)
      guard cut >= 8, cut <= 17 else { continue }
      #expect(head.lastChain == block.chain(at: index.previous) && tail.previousChain == head.lastChain)
      head.append(contentsOf: tail)
      #expect(head.bytes == block.bytes && head.ends == block.ends && head.lastChain == block.lastChain)
      #expect(try slice(tail.bytes, first: cut, chain: tail.previousChain).lastChain == block.lastChain)
    }
    for first in 8...16 as ClosedRange<UInt64> {
      for last in (first - 1)...16 {
        let wanted = LogSlice(first: LogIndex(first), last: LogIndex(last))
        var seen: [UInt64] = []
        try block.forEach(in: wanted) { header, _ in seen.append(header.id.index.rawValue) }
        #expect(seen == (last < first ? [] : Array(first...last)))
        #expect(
          Array(block.bytes[block.region(wanted)])
            == block.suffix(from: LogIndex(first)).prefix(before: LogIndex(last + 1)).bytes)
      }
    }
    #expect(block.header(at: LogIndex(10))?.payload.count == 6)
    #expect(block.header(at: LogIndex(7)) == nil && block.header(at: LogIndex(17)) == nil)
  }

  @Test("block: method and payload of an entry are where its header says, with every kind and edge")
  func headers() throws {
    for kind in [EntryKind.command, .noOperation, .configuration, .session] {
      for number in [0, 1, 1 << 63, UInt64.max] {
        var block = EntryBlock(first: LogIndex(1), previousChain: number)
        [UInt8]("m".utf8).withUnsafeBytes { method in
          [UInt8](repeating: 3, count: 300).withUnsafeBytes {
            block.append(
              term: Term(1), kind: kind, timestamp: number, machineVersion: UInt32(truncatingIfNeeded: number),
              session: number, sequence: number, method: method, payload: $0)
          }
        }
        try slice(block.bytes, first: 1, term: 0, chain: number).forEach(in: block.slice) { header, bytes in
          #expect(header.kind == kind && header.timestamp == number && header.session == number)
          #expect(header.sequence == number && header.machineVersion == UInt32(truncatingIfNeeded: number))
          #expect(
            Array(bytes[header.method]) == [109] && Array(bytes[header.payload]) == [UInt8](repeating: 3, count: 300))
        }
      }
    }
  }

  @Test("slicing: any flipped bit of an entry breaks the hash chain, or its form")
  func everyBit() {
    let block = Sample.block(3)
    for place in block.bytes.indices {
      for bit in 0..<8 {
        var bytes = block.bytes
        bytes[place] ^= 1 << UInt8(bit)
        #expect(throws: WireError.self) { try slice(bytes) }
      }
    }
    for chain in [0, 98, UInt64.max] { #expect(throws: WireError.self) { try slice(block.bytes, chain: chain) } }
  }

  @Test("slicing: refuses gaps, repeated and missing entries, terms that go back")
  func order() throws {
    let block = Sample.block(4)
    let parts = (8...11).map { block.suffix(from: LogIndex($0)).prefix(before: LogIndex($0 + 1)).bytes }
    for wrong in [[0, 2], [1], [0, 0], [1, 0], [0, 1, 1], [0, 1, 3]] {
      #expect(throws: WireError.self) { try slice(wrong.flatMap { parts[$0] }) }
    }
    #expect(throws: WireError.self) { try slice(block.bytes, first: 7) }
    #expect(throws: WireError.self) { try slice(block.bytes, term: 5) }
    #expect(throws: Never.self) { try slice(block.bytes, term: 4) }
    let back = entry(field(1, 5) + field(2, 8), after: 99)
    let backChain = try slice(back).lastChain
    #expect(throws: WireError.self) { try slice(back + entry(field(1, 4) + field(2, 9), after: backChain)) }
    #expect(try slice([]).isEmpty)
  }

  @Test(
    "slicing: refuses entries without chain, term or index, at 2^64 - 1, with fields twice, out of order or unknown")
  func forms() {
    let term = field(1, 4)
    let index = field(2, 8)
    #expect(throws: Never.self) { try slice(entry(term + index, after: 99)) }
    let wrong: [[UInt8]] = [
      [], term, index, field(1, 0) + index, term + field(2, 0), field(1, .max) + index, index + term,
      term + term + index, term + index + index, term + index + field(10, 1), term + index + field(3, 4),
      term + index + field(3, 256), term + index + field(5, 1 << 32), term + index + [9 << 3 | 2, 5, 1],
      term + index + field(9, [1]) + field(8, [1]), term + index + fixed(15, 1), [1 << 3 | 1] + index,
      term + index + field(1 << 28, 1), term + index + [0, 0],
    ]
    for fields in wrong { #expect(throws: WireError.self) { try slice(entry(fields, after: 99)) } }
    #expect(throws: WireError.self) { try slice(field(15, term + index)) }
    #expect(throws: WireError.self) { try slice(field(15, term + index + [15 << 3 | 1])) }
    #expect(throws: WireError.self) { try slice(field(14, term + index)) }
    #expect(throws: WireError.self) { try slice(entry(term + field(2, .max), after: 99), first: .max) }
  }

  @Test("append: entries at the end of all numbers, before the header's end, or without a predecessor are refused")
  func appends() {
    let codec = Codec(maximumMessage: 1 << 20)
    let entries = Sample.block(1).bytes
    let header = field(1, 1) + field(2, 5)
    let good = header + field(3, 7) + field(4, 4) + fixed(5, 99)
    func unpack(_ bytes: [UInt8]) throws(WireError) -> ReceivedMessage? {
      try reading(bytes) { (bytes) throws(WireError) in try codec.unpackMessage(.append, bytes) }
    }
    #expect(throws: Never.self) { try unpack(good + entries) }
    #expect(throws: WireError.self) { try unpack(good + entries + field(7, 1)) }
    #expect(throws: WireError.self) { try unpack(good + field(15, []) + entries) }
    for previous in [0, 6, 8, .max - 1, .max] as [UInt64] {
      #expect(throws: WireError.self) {
        try unpack(header + field(3, previous) + field(4, 4) + fixed(5, 99) + entries)
      }
    }
    #expect(throws: Never.self) { try unpack(header + field(3, .max - 1)) }
    // Behind the last index of all there is no place, not even for no entries.
    #expect(throws: WireError.self) { try unpack(header + field(3, .max)) }
  }
}
