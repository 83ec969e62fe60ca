import LockstepConsensus
import LockstepRequests
import Testing

@testable import LockstepExecution

@Suite("sessions")
struct SessionTests {
  var bench = Bench()

  private struct Outcome: Equatable {
    let code: CallStatus.Code?
    let applied: Applied?
    init(_ code: CallStatus.Code?, _ applied: Applied?) { (self.code, self.applied) = (code, applied) }
  }

  private func outcome(_ answer: Bench.Answer) -> Outcome {
    switch answer.reply {
    case .success?: Outcome(.ok, nil)
    case .failure(let status)?: Outcome(status.code, status.applied)
    case nil: Outcome(nil, nil)
    }
  }

  /// The numbers in fields of a reply of the sessions' service, all of one byte.
  private func fields(_ answer: Bench.Answer) -> [UInt8]? {
    if case .success(let bytes)? = answer.reply { bytes } else { nil }
  }

  @Test("a command that is sent again is answered and not carried out again")
  mutating func again() {
    bench.apply(.open)
    let first = bench.apply(.command("a", session: 1, sequence: 1))
    bench.apply(.command("b", session: 1, sequence: 2))
    let again = bench.apply(.command("a", session: 1, sequence: 1))
    #expect(again[0].reply == first[0].reply)
    #expect(bench.recorder?.applied.map(\.method) == ["a", "b"])
    #expect(bench.recorder?.applied.map(\.session) == [1, 1])
  }

  @Test("also within one batch, and when its first outcome was a failure; others in the batch keep their order")
  mutating func withinBatch() {
    let answers = bench.apply(
      .open, .command("x"), .command("fail", session: 1, sequence: 5), .command("y"),
      .command("fail", session: 1, sequence: 5))
    #expect(answers.map { $0.reply?.code } == [.ok, .ok, .aborted, .ok, .aborted])
    #expect(answers.map(\.index) == [1, 2, 3, 4, 5])
    #expect(bench.recorder?.applied.map(\.method) == ["x", "fail", "y"])
  }

  @Test("commands of sessions share the machine's batches, also where nobody waits, and are recorded there as well")
  mutating func batches() {
    var follower = Bench()
    let words: [Bench.Word] =
      [.open] + (1...5).map { .command("a", session: 1, sequence: $0) } + [.command("b")]
    bench.apply(words)
    follower.apply(words, repliesAreWanted: false)
    #expect(bench.recorder?.batches == [6])
    let again = Bench.Word.command("a", session: 1, sequence: 3)
    #expect(follower.apply(again)[0].reply == bench.apply(again)[0].reply)
    #expect(follower.apply(again)[0].reply == .success([3]))
  }

  @Test("a batch with commands in sessions is short, as all its replies are there at once, whoever waits")
  mutating func shortBatches() {
    let words = (1...40).map { Bench.Word.command("a", session: $0 % 3 == 0 ? 1 : 0, sequence: $0 % 3 == 0 ? $0 : 0) }
    bench.apply([.open] + words, repliesAreWanted: false)
    #expect(bench.recorder?.batches.allSatisfy { $0 <= 16 } == true && bench.recorder?.applied.count == 40)
    // Without any they are as long as the log gives them.
    bench.apply((1...40).map { _ in Bench.Word.command("a") }, repliesAreWanted: false)
    #expect(bench.recorder?.batches.last == 40)
  }

  @Test("with as many sessions as there may be, each still has room for all its calls")
  func roomForRecords() {
    let usual = SessionLimits.usual
    #expect(usual.bytes / usual.sessions >= usual.records * Session.recordBytes)
  }

  @Test("of a failure whose message has no room any more, the code is known")
  mutating func strippedFailure() {
    bench = Bench(limits: SessionLimits(bytes: 16 * (2 * Session.recordBytes + 4)))
    bench.apply(.open, .command("fail", session: 1, sequence: 1), .command("a", session: 1, sequence: 2))
    guard case .failure(let status)? = bench.apply(.command("fail", session: 1, sequence: 1))[0].reply else {
      Issue.record("it failed, and does so again")
      return
    }
    #expect(status.code == .aborted && status.message.isEmpty)
  }

  @Test("sequences may arrive out of order, and sessions do not share them")
  mutating func outOfOrder() {
    bench.apply(.open, .open)
    let answers = bench.apply(
      .command("a", session: 1, sequence: 3), .command("b", session: 1, sequence: 1),
      .command("c", session: 2, sequence: 3), .command("b", session: 1, sequence: 1))
    #expect(answers.map(\.reply) == [.success([1]), .success([2]), .success([3]), .success([2])])
  }

  @Test("the same sequence with another request is refused, and nothing is carried out")
  mutating func anotherRequest() {
    bench.apply(.open, .command("a", session: 1, sequence: 1))
    let answer = bench.apply(.command("b", session: 1, sequence: 1))[0]
    #expect(outcome(answer) == Outcome(.invalidArgument, .no))
    #expect(bench.recorder?.applied.count == 1)
  }

  @Test("a session that was never opened is refused, and nothing is carried out")
  mutating func unknown() {
    let answers = bench.apply(.open, .command("a", session: 2, sequence: 1))
    #expect(outcome(answers[1]) == Outcome(.failedPrecondition, .unknown))
    #expect(bench.recorder?.applied.isEmpty == true)
  }

  @Test("what has left the window is refused, not carried out again")
  mutating func forgotten() {
    let window: UInt64 = 64
    bench = Bench(limits: SessionLimits(records: Int(window)))
    bench.apply(.open)
    for sequence in 1...window + 2 { bench.apply(.command("a", session: 1, sequence: sequence)) }
    let answers = bench.apply([1, 2, 3].map { .command("a", session: 1, sequence: $0) })
    #expect(answers.map { $0.reply?.code } == [.failedPrecondition, .failedPrecondition, .ok])
    #expect(bench.recorder?.applied.count == Int(window) + 2)
  }

  @Test("opening one session too many ends the one that was used least recently, on every replica the same")
  mutating func eviction() {
    let limits = SessionLimits(sessions: 20)
    bench = Bench(limits: limits)
    var other = Bench(limits: limits)
    let words =
      [Bench.Word](repeating: .open, count: limits.sessions)
      + [.command("a", session: 1, sequence: 1), .command("a", session: 3, sequence: 1), .open, .open]
    bench.apply(words)
    for word in words { other.apply(word) }
    #expect(bench.executor.sessions.count == limits.sessions)
    for session in 1...6 as ClosedRange<UInt64> {
      let word = Bench.Word.command("b", session: session, sequence: 2)
      let answer = bench.apply(word)
      #expect(answer[0].reply?.code == ([2, 4].contains(session) ? .failedPrecondition : .ok))
      #expect(answer[0].reply == other.apply(word)[0].reply)
    }
  }

  @Test("a session that nobody uses for its patience has ended, by the time stamps in the log; a use keeps it")
  mutating func patience() {
    let second: UInt64 = 1_000_000_000
    bench.apply(.sessions(.open(patienceMilliseconds: 10_000)), timestamp: second)
    bench.apply(.command("a", session: 1, sequence: 1), timestamp: 11 * second)
    bench.apply(.sessions(.keepAlive(session: 1)), timestamp: 21 * second)
    #expect(
      outcome(bench.apply(.command("a", session: 1, sequence: 1), timestamp: 31 * second)[0]) == Outcome(.ok, nil))
    let late = bench.apply(.command("a", session: 1, sequence: 1), timestamp: 42 * second)[0]
    #expect(outcome(late) == Outcome(.failedPrecondition, .unknown))
    #expect(
      outcome(bench.apply(.sessions(.keepAlive(session: 1)), timestamp: 42 * second)[0]).code == .failedPrecondition)
    bench.apply(.open, timestamp: 42 * second)
    #expect(bench.executor.sessions.count == 1)
  }

  @Test("resolve: what is committed has its reply; what is not there is carried out no more after that")
  mutating func resolve() {
    bench.apply(.open, .command("a", session: 1, sequence: 1), .command("fail", session: 1, sequence: 2))
    let committed = bench.apply(.sessions(.resolve(session: 1, sequence: 1)))[0]
    // outcome 1, index 2, reply of one byte.
    #expect(fields(committed) == [8, 1, 16, 2, 34, 1, 1])
    let failed = fields(bench.apply(.sessions(.resolve(session: 1, sequence: 2)))[0])
    #expect(failed?.prefix(6) == [8, 1, 16, 3, 24, 10])
    #expect(fields(bench.apply(.sessions(.resolve(session: 1, sequence: 7)))[0]) == [8, 2])
    let answer = bench.apply(.command("a", session: 1, sequence: 7))[0]
    #expect(outcome(answer) == Outcome(.aborted, .no))
    #expect(fields(bench.apply(.sessions(.resolve(session: 1, sequence: 7)))[0]) == [8, 2])
    #expect(bench.recorder?.applied.count == 2)
    let unknown = fields(bench.apply(.sessions(.resolve(session: 9, sequence: 1)))[0])
    #expect(unknown?.first == 50)
  }

  @Test("a closed session is no session, and one that is not there can be closed")
  mutating func close() {
    bench.apply(.open, .command("a", session: 1, sequence: 1), .sessions(.close(session: 1)))
    #expect(outcome(bench.apply(.command("a", session: 1, sequence: 1))[0]) == Outcome(.failedPrecondition, .unknown))
    #expect(outcome(bench.apply(.sessions(.close(session: 1)))[0]) == Outcome(.ok, nil))
  }

  @Test("snapshots have all of it, and what comes after is answered the same")
  mutating func snapshots() throws {
    bench.apply(
      .open, .open, .command("a", session: 1, sequence: 4), .command("fail", session: 2, sequence: 1),
      .sessions(.resolve(session: 1, sequence: 2)))
    var other = Bench(executor: try restored(bench.executor.freeze(), .usual))
    let words: [Bench.Word] = [
      .command("a", session: 1, sequence: 4), .command("b", session: 1, sequence: 2),
      .command("fail", session: 2, sequence: 1), .command("c", session: 2, sequence: 2),
    ]
    #expect(other.apply(words).map(\.reply) == bench.apply(words).map(\.reply))
  }

  @Test("however a replica divides the log, it forgets the same: random calls, long replies, repeats")
  func division() {
    for seed in 1...200 as ClosedRange<UInt64> {
      var random = SplitMix(seed)
      let words = (0..<60).map { _ -> Bench.Word in
        let (session, sequence) = (random.next() % 3 + 1, random.next() % 12 + 1)
        return switch random.next() % 12 {
        case 0: .open
        case 1: .sessions(.resolve(session: session, sequence: sequence))
        case 2: .sessions(.close(session: session))
        case 3: .command("other", session: session, sequence: sequence)
        case 4: .command("x")
        default: .command("a", session: session, sequence: sequence)
        }
      }
      let limits =
        [.usual, SessionLimits(sessions: 2, records: 3), SessionLimits(bytes: 16 * 300)][Int(random.next() % 3)]
      var (whole, single) = (Bench(limits: limits), Bench(limits: limits))
      let all = whole.apply(words).map(\.reply)
      #expect(words.map { single.apply($0)[0].reply } == all, "seed \(seed)")
      #expect(bytes(whole.executor) == bytes(single.executor), "seed \(seed)")
      #expect(whole.executor.digest == single.executor.digest, "seed \(seed)")
      // It is counted from what changes, and is that of what is there.
      #expect(throws: Never.self) { try restored(single.executor.freeze(), limits) }
    }
  }

  private func restored(_ frozen: FrozenState, _ limits: SessionLimits) throws -> Executor {
    var reader = SnapshotReader(frozen.content, version: frozen.machineVersion)
    return try Executor(
      group: .first, first: Recorder(), last: frozen.last, time: frozen.time, digest: frozen.digest, from: &reader,
      limits: limits)
  }

  private func bytes(_ executor: Executor) -> [UInt8] {
    var (content, all): (any Snapshot, [UInt8]) = (executor.sessions.freeze(), [])
    while let piece = try? content.next(maximumBytes: 1000) { all += piece }
    return all
  }

  private struct SplitMix {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var mixed = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
      mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
      return mixed ^ mixed >> 31
    }
  }
}
