import LockstepConsensus
import Testing

@testable import LockstepWire

@Suite("Hostile bytes")
struct HostileBytesTests {
  private let codec = Codec(maximumMessage: 1 << 20)

  private func attempt(_ sample: Sample, _ bytes: [UInt8]) {
    do throws(WireError) {
      try reading(bytes) { (bytes) throws(WireError) in try sample.read(codec, bytes) }
    } catch { #expect(!error.description.isEmpty) }
  }

  @Test(
    "wire: every message is read back; cut at every byte it is refused or something, and never traps",
    arguments: Sample.all)
  func truncated(sample: Sample) throws {
    try reading(sample.bytes) { (bytes) throws(WireError) in try sample.read(codec, bytes) }
    for count in 0..<sample.bytes.count { attempt(sample, Array(sample.bytes[..<count])) }
  }

  @Test(
    "wire: every bit of every message flipped is refused or decodes to something, and never traps",
    arguments: Sample.all)
  func flipped(sample: Sample) {
    for place in sample.bytes.indices {
      for bit in 0..<8 {
        var bytes = sample.bytes
        bytes[place] ^= 1 << UInt8(bit)
        attempt(sample, bytes)
      }
    }
  }

  @Test("wire: messages of random bytes, and with bytes put in and taken out", arguments: Sample.all)
  func random(sample: Sample) {
    var random = SplitMix(UInt64(sample.bytes.count))
    for _ in 0..<400 {
      var bytes = sample.bytes
      for _ in 0..<1 + random.below(4) {
        switch random.below(3) {
        case 0 where !bytes.isEmpty: bytes.remove(at: random.below(bytes.count))
        case 1: bytes.insert(UInt8(random.below(256)), at: random.below(bytes.count + 1))
        default: bytes.append(contentsOf: field(UInt64(1 + random.below(20)), random.next()))
        }
      }
      attempt(sample, bytes)
      attempt(sample, (0..<random.below(64)).map { _ in UInt8(random.below(256)) })
    }
  }

  @Test(
    "wire: a bomb of unknown fields is refused, a few are borne",
    arguments: Sample.all.filter { $0.name != "log batch" })
  func unknownFields(sample: Sample) {
    let bomb = (0..<20_000).flatMap { _ in field(200, 1) }
    #expect(throws: WireError.self) {
      try reading(bomb + sample.bytes) { (bytes) throws(WireError) in try sample.read(codec, bytes) }
    }
    #expect(throws: Never.self) {
      try reading(field(200, 1) + field(201, [1, 2]) + sample.bytes) { (bytes) throws(WireError) in
        try sample.read(codec, bytes)
      }
    }
  }

  @Test("wire: a repeated singular submessage, and one nested too deep, are refused before they are merged")
  func submessages() {
    let evidence = field(11, field(1, 5))
    #expect(throws: WireError.self) { try reading(evidence + evidence, codec.unpackReply) }
    #expect(throws: Never.self) { try reading(evidence, codec.unpackReply) }
    var deep = field(1, 1)
    for _ in 0..<2000 { deep = field(7, deep) }
    // None of our messages is recursive: deeper levels are plain unknown fields of the innermost that is known.
    _ = try? reading(deep, codec.unpackStatus)
    let many = (0..<70_000).flatMap { _ in field(7, []) }
    #expect(throws: WireError.self) { try reading(many, codec.unpackStatus) }
  }

  @Test(
    "wire: lengths beyond the end, up to 2^64 - 1, are refused; nothing is allocated for them",
    arguments: [4, 127, 1 << 20, 1 << 31, 1 << 32, 1 << 62, 1 << 63, .max] as [UInt64])
  func lengths(length: UInt64) {
    for number in 1...15 as ClosedRange<UInt64> {
      let bytes = varint(number << 3 | 2) + varint(length) + [1, 2, 3]
      for sample in Sample.all {
        #expect(throws: WireError.self) {
          try reading(bytes) { (bytes) throws(WireError) in try sample.read(codec, bytes) }
        }
      }
    }
  }

  @Test("wire: packed numbers that need more memory than the arena has are refused")
  func arena() {
    let small = Codec(maximumMessage: 300_000)
    let bytes = field(13, [UInt8](repeating: 1, count: 250_000))
    #expect(throws: WireError.self) { try reading(field(7, bytes), small.unpackStatus) }
    #expect(throws: Never.self) { try reading(field(7, field(13, [1, 2, 3])), small.unpackStatus) }
  }

  @Test("wire: a message over the limit is refused, one at the limit is not")
  func limit() {
    let tight = Codec(maximumMessage: 64)
    #expect(throws: Never.self) {
      try reading(
        field(2, [UInt8](repeating: 1, count: 62)), { (bytes) throws(WireError) in _ = try tight.unpackForward(bytes) })
    }
    #expect(throws: WireError.self) {
      try reading(
        field(2, [UInt8](repeating: 1, count: 63)), { (bytes) throws(WireError) in _ = try tight.unpackForward(bytes) })
    }
  }

  @Test("wire: a field of the wrong wire type is refused or skipped, never taken for another")
  func wireTypes() {
    #expect(throws: WireError.self) { try reading([1 << 3 | 3], codec.unpackDescribe) }
    #expect(throws: WireError.self) { try reading([1 << 3 | 7, 1], codec.unpackDescribe) }
    #expect(throws: WireError.self) { try reading([0, 1], codec.unpackDescribe) }
    for type in 0...7 as ClosedRange<UInt8> {
      let value = try? reading([1 << 3 | type, 1, 1, 1, 1, 1, 1, 1, 1], codec.unpackDescribe)
      #expect(value == nil || value == 0 || type == 0)
    }
  }

  @Test("texts: no UTF-8, NUL and control characters do no harm, and a stranger's reason is short")
  func texts() throws {
    let reason = try reading(field(1, Array("a\u{1b}[2J\nb".utf8) + [0xff, 0xfe]), codec.unpackRefusal)
    #expect(reason.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 })
    let long = try reading(field(1, [UInt8](repeating: 65, count: 100_000)), codec.unpackRefusal)
    #expect(long.count == 500)
    codec.pack(refusal: "a\0b")
    #expect(try reading(codec.packed, codec.unpackRefusal) == "a b")
    _ = try? reading(field(1, Array("a\0b".utf8)), codec.unpackRefusal)
    let reply = try reading(field(3, [0xff, 0, 65]), codec.unpackReply)
    #expect(reply.message == "\u{fffd}\0A")
  }
}
