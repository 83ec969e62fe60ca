import LockstepConsensus
import LockstepExecution
import Testing

@Suite("executor")
struct ExecutorTests {
  var bench = Bench()

  @Test("answers every entry in the order of the log, and commands with the machine's reply")
  mutating func order() {
    let answers = bench.apply(
      .nothing, .command("a"), .command("b"), .open, .command("c", session: 4, sequence: 1), .command("d"), .nothing)
    #expect(answers.map(\.index) == [1, 2, 3, 4, 5, 6, 7])
    #expect(answers.map { $0.reply?.code } == [nil, .ok, .ok, .ok, .ok, .ok, nil])
    #expect([1, 2, 4, 5].map { answers[$0].reply } == [1, 2, 3, 4].map { .success([$0]) })
    #expect(bench.recorder?.applied.map(\.method) == ["a", "b", "c", "d"])
    #expect(bench.recorder?.applied.map(\.index) == [2, 3, 5, 6])
    #expect(bench.recorder?.batches == [2, 2])
    #expect(bench.executor.applied == LogIndex(7))
    #expect(bench.executor.appliedTerm == Term(1))
  }

  @Test("a failure is a reply like any other; one with the code OK is made INTERNAL")
  mutating func failures() {
    let answers = bench.apply(.command("a"), .command("fail"), .command("ok"), .command("b"))
    #expect(answers.map { $0.reply?.code } == [.ok, .aborted, .internal, .ok])
  }

  @Test("replies that nobody waits for: failures are there, and what a session records is whole")
  mutating func unwanted() {
    let answers = bench.apply(
      .open, .command("a"), .command("fail"), .command("b", session: 1, sequence: 1), .command("c"),
      repliesAreWanted: false)
    #expect(answers.map(\.index) == [1, 2, 3, 4, 5])
    #expect(answers.map { $0.reply?.code } == [.ok, .ok, .aborted, .ok, .ok])
    let again = bench.apply(.command("b", session: 1, sequence: 1))
    #expect(again.map(\.reply) == [.success([3])])
    #expect(bench.recorder?.applied.map(\.method) == ["a", "fail", "b", "c"])
  }

  @Test("time is the leader's stamp and never goes back")
  mutating func time() throws {
    bench.apply(.command("a"), timestamp: 10)
    bench.apply(.command("b"), timestamp: 5)
    bench.apply(.command("c"), timestamp: 11)
    #expect(bench.recorder?.applied.map(\.time) == [10, 10, 11])
    #expect(try bench.query("q") == [3, 11])
  }

  @Test("random numbers come from group and index alone")
  mutating func random() {
    var other = Bench()
    bench.apply(.command("a"), .command("b"))
    other.apply(.command("a"))
    other.apply(.command("b"))
    #expect(bench.recorder?.applied == other.recorder?.applied)
    #expect(Set(bench.recorder?.applied.map(\.random) ?? []).count == 2)
  }

  @Test("a query's error is the caller's")
  func query() {
    #expect(throws: CallStatus(.notFound, "as asked")) { try bench.query("fail") }
  }

  @Test("an entry that is not the one after the last applied ends the process", arguments: [0, 1, 3] as [UInt64])
  func skipped(index: UInt64) async {
    await #expect(processExitsWith: .failure) { [index] in
      var executor = Executor(group: .first, machine: Recorder())
      let empty = UnsafeRawBufferPointer(start: nil, count: 0)
      for index in [1, index] {
        executor.apply([
          Executor.Entry(
            id: EntryID(term: Term(1), index: LogIndex(index)), kind: .noOperation, timestamp: 0, session: 0,
            sequence: 0, call: MethodCall(method: empty, request: empty))
        ]) { _, _ in }
      }
    }
  }
}
