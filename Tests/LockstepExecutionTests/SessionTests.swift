import LockstepConsensus
import LockstepExecution
import Testing

@Suite("sessions")
struct SessionTests {
  var bench = Bench()

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

  @Test("also within one batch, and when its first outcome was a failure")
  mutating func withinBatch() {
    let answers = bench.apply(
      .open, .command("x"), .command("fail", session: 1, sequence: 5), .command("y"),
      .command("fail", session: 1, sequence: 5))
    #expect(answers.map { $0.reply?.code } == [nil, .ok, .aborted, .ok, .aborted])
    #expect(bench.recorder?.applied.map(\.method) == ["x", "fail", "y"])
  }

  @Test("sequences may arrive out of order, and sessions do not share them")
  mutating func outOfOrder() {
    bench.apply(.open, .open)
    let answers = bench.apply(
      .command("a", session: 1, sequence: 3), .command("b", session: 1, sequence: 1),
      .command("c", session: 2, sequence: 3), .command("b", session: 1, sequence: 1))
    #expect(answers.map(\.reply) == [.success([1]), .success([2]), .success([3]), .success([2])])
  }

  @Test("a session that was never opened is refused, and nothing is carried out")
  mutating func unknown() {
    let answers = bench.apply(.open, .command("a", session: 2, sequence: 1))
    #expect(answers[1].reply?.code == .failedPrecondition)
    #expect(bench.recorder?.applied.isEmpty == true)
  }

  @Test("what has left the window of replies is refused, not carried out again")
  mutating func forgotten() {
    let window = UInt64(SessionTable.maximumReplies)
    bench.apply(.open)
    for sequence in 1...window + 2 { bench.apply(.command("a", session: 1, sequence: sequence)) }
    let answers = bench.apply([1, 2, 3].map { .command("a", session: 1, sequence: $0) })
    #expect(answers.map { $0.reply?.code } == [.failedPrecondition, .failedPrecondition, .ok])
    #expect(bench.recorder?.applied.count == Int(window) + 2)
  }

  @Test("opening one session too many ends the one that was used least recently, on every replica the same")
  mutating func eviction() {
    var other = Bench()
    let words =
      [Bench.Word](repeating: .open, count: SessionTable.maximumSessions)
      + [.command("a", session: 1, sequence: 1), .command("a", session: 3, sequence: 1), .open, .open]
    bench.apply(words)
    for word in words { other.apply(word) }
    #expect(bench.executor.sessions.count == SessionTable.maximumSessions)
    for session in 1...6 as ClosedRange<UInt64> {
      let word = Bench.Word.command("b", session: session, sequence: 2)
      let answer = bench.apply(word)
      #expect(answer[0].reply?.code == ([2, 4].contains(session) ? .failedPrecondition : .ok))
      #expect(answer[0].reply == other.apply(word)[0].reply)
    }
  }
}
