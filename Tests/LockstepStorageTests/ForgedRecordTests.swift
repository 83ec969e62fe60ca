import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

/// Records with right checksums and wrong contents, laid out by hand as the format's drawing has them.
@Suite("records that are whole and wrong")
struct ForgedRecordTests {
  private func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }
  }

  private func record(
    _ part: LogBatchHeader, _ region: [UInt8], sequence: UInt64, offset: Int, link: [UInt8]
  ) -> [UInt8] {
    var message = [UInt8](repeating: 0, count: part.packedSize)
    message.withUnsafeMutableBytes { _ = $0.baseAddress.map { part.write(to: $0) } }
    message += region
    #expect(message.count < 128)
    var body = (message.count < 0x80 ? [UInt8(message.count)] : [UInt8(message.count & 0x7f | 0x80), 1]) + message
    let length = body.count
    body += [UInt8](repeating: 0, count: (64 - length % 64) % 64)
    let salt = Checksum.of([UInt8](repeating: 9, count: 16), seed: 1)
    var header = Array("LKR1".utf8) + [0x5a, 0x5a, 0x5a, 0x5a]
    header += little(sequence) + little(UInt64(offset)) + little(UInt64(length))
    header += little(Checksum.of(body, seed: salt)) + link + little(UInt64(0))
    header += little(Checksum.of(header, seed: salt))
    return header + body
  }

  /// Opens a log with two entries of term 1 and, behind them, this batch.
  private func open(_ term: UInt64, vote: UInt64? = nil, first: Int, entryTerm: UInt64?) throws -> (Fixture, Int) {
    let node = Fixture()
    try node.open()
    try node.append([Fixture.write(1, term: 2, vote: 1, node.entries(1, from: 1, terms: [1, 2]))])
    let offset = node.options.firstSegmentBytes - (node.log?.room ?? 0)
    let batch = (0..<offset / 64).last { node.disk[Fixture.segment1][$0 * 64] == UInt8(ascii: "L") } ?? 0
    let link = Array(node.disk[Fixture.segment1][batch * 64 + 56..<batch * 64 + 64])
    let chain = first == 3 ? node.model[1]?.chains[1] : node.model[1]?.chains[0]
    var block = EntryBlock(first: LogIndex(UInt64(first)), previousChain: chain ?? 0)
    if let entryTerm { block.append(term: Term(entryTerm), kind: .noOperation) }
    let part = LogBatchHeader(
      group: .first, hardState: HardState(term: Term(term), vote: vote.map { NodeID($0) }),
      first: block.isEmpty ? .zero : block.first, previousChain: block.previousChain)
    let bytes = record(part, block.bytes, sequence: 3, offset: offset, link: link)
    node.disk.restart()
    node.disk[Fixture.segment1].replaceSubrange(offset..<offset + bytes.count, with: bytes)
    return (node, offset)
  }

  @Test("one that is right is taken")
  func right() throws {
    let (node, _) = try open(3, first: 3, entryTerm: 3)
    try node.open()
    #expect(node.recovered[0].last == EntryID(term: Term(3), index: LogIndex(3)))
  }

  @Test(
    "an entry above the stored term, terms and votes that change their mind, a gap, terms that go back",
    arguments: [
      (2, 1, 3, 3), (1, nil, 3, nil), (2, 2, 3, nil), (2, nil, 3, nil), (3, nil, 4, 3), (3, nil, 3, 1),
      (3, nil, 9, 3),
    ] as [(UInt64, UInt64?, Int, UInt64?)])
  func wrong(term: UInt64, vote: UInt64?, first: Int, entryTerm: UInt64?) throws {
    let (node, offset) = try open(term, vote: vote, first: first, entryTerm: entryTerm)
    let error = #expect(throws: StorageError.self) { try node.open() }
    guard case .damaged(Fixture.segment1, offset, _) = error else { return unexpected(error) }
  }

  @Test("the header of a segment with as many groups as there may be is read back")
  func manyGroups() throws {
    let groups = (1...4096 as ClosedRange<UInt64>).map {
      GroupState(group: GroupID($0), hardState: HardState(), last: .zero, lastChain: $0)
    }
    let header = SegmentHeader(
      cluster: Fixture.cluster, node: NodeID(1), disk: [UInt8](repeating: 9, count: 16), segment: 2, sequence: 3,
      groups: groups)
    #expect(try header.encoded().withUnsafeBytes { try SegmentHeader(decoding: $0) } == header)
  }
}
