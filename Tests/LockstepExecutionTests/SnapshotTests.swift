import LockstepConsensus
import LockstepExecution
import Testing

@Suite("snapshots")
struct SnapshotTests {
  private static func reader(_ bytes: [UInt8], pieces: Int = 1) -> SnapshotReader {
    var rest = bytes[...]
    return SnapshotReader("the snapshot", version: 1) { () throws(CallStatus) -> [UInt8]? in
      let piece = Array(rest.prefix(pieces))
      rest = rest.dropFirst(pieces)
      return piece.isEmpty ? nil : piece
    }
  }

  @Test(
    "pieces are as long as they may be, and together the same however they are cut", arguments: [1, 2, 3, 100, 5000])
  func cutting(length: Int) {
    let written = EncodedSnapshot(of: 0 as UInt64) { number, buffer in
      buffer.append(varint: number << number)
      buffer.append([UInt8](repeating: 7, count: Int(number)))
      number += 1
      return number < 60
    }
    var (whole, cut) = (written, written)
    let all = whole.next(maximumBytes: 1 << 20) ?? []
    #expect(all.count > 60 && whole.next(maximumBytes: 1 << 20) == nil)
    var bytes: [UInt8] = []
    while let piece = cut.next(maximumBytes: length) {
      bytes += piece
      #expect(piece.count == length || bytes.count == all.count)
    }
    #expect(bytes == all && cut.next(maximumBytes: length) == nil)
  }

  @Test("a copy of a snapshot goes on from where it was copied")
  func copies() {
    var snapshot = EncodedSnapshot(of: 0) { number, buffer in
      buffer.append([UInt8(number)])
      number += 1
      return number < 4
    }
    #expect(snapshot.next(maximumBytes: 2) == [0, 1])
    var copy = snapshot
    #expect(snapshot.next(maximumBytes: 9) == [2, 3] && copy.next(maximumBytes: 9) == [2, 3])
  }

  @Test("what was written is read again, in pieces of any length", arguments: [1, 2, 7, 1000])
  func roundTrip(pieces: Int) throws {
    let numbers: [UInt64] = [0, 1, 127, 128, 300, 1 << 32, .max]
    var buffer = SnapshotBuffer()
    for number in numbers { buffer.append(varint: number) }
    buffer.append(text: "é€")
    buffer.append([9, 8, 7, 6, 5])
    var reader = Self.reader(buffer.take(1000) ?? [], pieces: pieces)
    for number in numbers { #expect(try reader.varint() == number) }
    #expect(try reader.text() == "é€")
    #expect(try !reader.isAtEnd() && reader.bytes(5) == [9, 8, 7, 6, 5] && reader.bytes(0) == [])
    #expect(try reader.isAtEnd())
    try reader.end()
  }

  @Test(
    "what is no number or text, ends too soon or goes on too long is refused with its place",
    arguments: [
      ([0x80], "1: it ends within a number"),
      ([0x80, 0], "2: a number has more bytes than it needs"),
      ([UInt8](repeating: 0xff, count: 9) + [2], "10: a number does not fit in 64 bits"),
      ([2, 0xff, 0xfe], "3: a text is not UTF-8"),
      ([3, 97, 98], "3: it ends, and 1 bytes more are announced"),
      ([1, 97, 98], "2: more follows after its end"),
    ] as [([UInt8], String)])
  func hostile(bytes: [UInt8], message: String) {
    for pieces in [1, 2, 100] {
      #expect(throws: CallStatus(.dataLoss, "the snapshot is damaged at byte \(message)")) {
        var reader = Self.reader(bytes, pieces: pieces)
        _ = try reader.text()
        try reader.end()
      }
    }
  }

  @Test("empty pieces are none, and an error of the source ends the reading")
  func source() throws {
    var pieces: [[UInt8]] = [[], [1], [], [], [2]]
    var reader = SnapshotReader("the snapshot", version: 3) { () throws(CallStatus) -> [UInt8]? in
      guard !pieces.isEmpty else { throw CallStatus(.unavailable, "the link is down") }
      return pieces.removeFirst()
    }
    #expect(reader.version == 3)
    #expect(try reader.bytes(2) == [1, 2])
    #expect(throws: CallStatus(.unavailable, "the link is down")) { try reader.isAtEnd() }
  }

  @Test("a machine: what is frozen stays as it was, and what is restored is equal and nothing else")
  func machine() throws {
    var bench = Bench()
    bench.apply(.open, .command("a"), .command("b", session: 1, sequence: 1))
    let before = try #require(bench.recorder)
    let frozen = before.freeze()
    bench.apply(.command("c"))
    var reader = SnapshotReader(frozen, version: 1, maximumBytes: 3)
    let restored = try Recorder().restored(from: &reader)
    try reader.end()
    #expect(restored.applied == before.applied && before.applied.count == 2)
  }
}
