import LockstepConsensus
import LockstepExecution
import Testing

@Suite("frozen states")
struct FrozenStateTests {
  private static func bytes(_ state: FrozenState, pieces: Int = 7) throws -> [UInt8] {
    var (content, bytes) = (state.content, [UInt8]())
    while let piece = try content.next(maximumBytes: pieces) { bytes += piece }
    return bytes
  }

  private static func restore(
    _ bytes: [UInt8], _ state: FrozenState, version: UInt32? = nil, digest: UInt64? = nil
  ) throws(CallStatus) -> Executor {
    var rest = bytes[...]
    var reader = SnapshotReader("the state", version: version ?? state.machineVersion) {
      () throws(CallStatus) -> [UInt8]? in
      let piece = Array(rest.prefix(11))
      rest = rest.dropFirst(11)
      return piece.isEmpty ? nil : piece
    }
    return try Executor(
      group: .first, first: Recorder(), last: state.last, time: state.time, digest: digest ?? state.digest,
      from: &reader)
  }

  private func bench() -> Bench {
    var bench = Bench()
    bench.apply(
      .open, .command("a"), .open, .command("b", session: 1, sequence: 1), .command("fail", session: 3, sequence: 9),
      .command("c", session: 1, sequence: 4), timestamp: 70)
    for sequence in 1...66 as ClosedRange<UInt64> {
      bench.apply(.command("d", session: 3, sequence: 100 + sequence), timestamp: 71)
    }
    return bench
  }

  @Test("what is restored is what was frozen: machine, sessions and their replies, index, term and time")
  func roundTrip() throws {
    let frozen = bench().executor.freeze()
    let restored = try Self.restore(Self.bytes(frozen), frozen)
    #expect(restored.applied == frozen.last.index && restored.appliedTerm == Term(1) && restored.time == 71)
    #expect(restored.sessions.count == 2)
    let again = restored.freeze()
    #expect(try Self.bytes(again) == Self.bytes(frozen, pieces: 1000) && again.digest == frozen.digest)
  }

  @Test("a command that was answered before the snapshot is answered after it, and not carried out again")
  func exactlyOnce() throws {
    let frozen = bench().executor.freeze()
    var one = Bench(executor: try Self.restore(Self.bytes(frozen), frozen))
    var other = bench()
    let words: [Bench.Word] = [
      .command("b", session: 1, sequence: 1), .command("fail", session: 3, sequence: 9),
      .command("d", session: 3, sequence: 160), .command("c", session: 1, sequence: 5), .open,
    ]
    let (after, without) = (one.apply(words, timestamp: 72), other.apply(words, timestamp: 72))
    #expect(after.map(\.reply) == without.map(\.reply) && after.count == words.count)
    #expect(one.recorder?.applied == other.recorder?.applied)
  }

  @Test("what is frozen stays as it is while commands go on")
  func isolated() throws {
    var bench = bench()
    let frozen = bench.executor.freeze()
    let before = try Self.bytes(frozen)
    bench.apply(.command("later"), .open, .command("b", session: 1, sequence: 50))
    #expect(try Self.bytes(frozen) == before)
  }

  @Test("bytes that are cut short, or go on, are refused, wherever they end")
  func lengths() throws {
    let frozen = bench().executor.freeze()
    let bytes = try Self.bytes(frozen)
    for count in 0..<bytes.count {
      #expect(throws: CallStatus.self, "\(count) of \(bytes.count) bytes") {
        try Self.restore(Array(bytes[..<count]), frozen)
      }
    }
    #expect(throws: CallStatus.self) { try Self.restore(bytes + [0], frozen) }
  }

  @Test("a machine whose digest is another than was frozen is refused")
  func digests() throws {
    let frozen = bench().executor.freeze()
    let failure = #expect(throws: CallStatus.self) {
      try Self.restore(Self.bytes(frozen), frozen, digest: frozen.digest + 1)
    }
    #expect(failure?.code == .dataLoss)
  }

  @Test("the state of a later version of the machine is refused, and not called damaged")
  func versions() throws {
    let frozen = bench().executor.freeze()
    let failure = #expect(throws: CallStatus.self) { try Self.restore(Self.bytes(frozen), frozen, version: 2) }
    #expect(failure?.code == .failedPrecondition)
  }

  @Test("sessions that no table has written are refused")
  func hostileSessions() throws {
    let frozen = bench().executor.freeze()
    // Numbers: sessions; then id, patience, index and time of the last use, forgotten, records; then sequence, fingerprint,
    // index, kind, and what belongs to it.
    let tables: [[UInt8]] = [
      [0xff, 0xff, 0x7f], [1, 0, 9, 5, 0, 0, 0], [1, 9, 9, 5, 0, 0, 0], [1, 1, 9, 0x7f, 0, 0, 0],
      [2, 3, 9, 5, 0, 0, 0, 1, 9, 5, 0, 0, 0], [2, 3, 9, 5, 0, 0, 0, 3, 9, 5, 0, 0, 0], [1, 1, 9, 5, 0, 0, 0x81, 8],
      [1, 1, 9, 5, 0, 0, 1, 1, 0, 2, 2, 99, 0], [1, 1, 9, 5, 0, 0, 1, 1, 0, 2, 3], [1, 1, 9, 5, 0, 4, 1, 4, 0, 2, 0],
      [1, 1, 9, 5, 0, 0, 2, 7, 0, 2, 0, 7, 0, 2, 0], [1, 1, 9, 5, 0, 0, 1, 1, 0, 0x7f, 0],
    ]
    for table in tables {
      let failure = #expect(throws: CallStatus.self, "\(table)") { try Self.restore(table, frozen) }
      #expect(failure?.code == .dataLoss, "\(table)")
    }
  }
}
