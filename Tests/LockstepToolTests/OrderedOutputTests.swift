import Synchronization
import Testing

@testable import LockstepTool

@Suite("results in the order of their lines")
struct OrderedOutputTests {
  /// Collects what is written.
  private final class Sink: Sendable {
    let text = Mutex("")
    let written = Mutex(0)
    let isBroken: Bool
    init(isBroken: Bool = false) { self.isBroken = isBroken }

    func output() -> OrderedOutput {
      OrderedOutput(
        write: { bytes in
          self.text.withLock { $0 += String(decoding: bytes, as: UTF8.self) }
          return !self.isBroken
        }, onWritten: { count in self.written.withLock { $0 += count } })
    }
  }

  private func run(_ output: OrderedOutput) async -> Bool {
    await withCheckedContinuation { done in startThread { done.resume(returning: output.run()) } }
  }

  @Test("early results wait for their turn")
  func order() async {
    let sink = Sink()
    let output = sink.output()
    for number in [2, 0, 3, 1] { output.finish(number, "line \(number)") }
    output.end(total: 4)
    #expect(await run(output))
    #expect(sink.text.withLock { $0 } == "line 0\nline 1\nline 2\nline 3\n")
    #expect(sink.written.withLock { $0 } == 4)
  }

  @Test("nothing to write ends at once")
  func empty() async {
    let output = Sink().output()
    output.end(total: 0)
    #expect(await run(output))
  }

  @Test("when nobody reads any more, it ends and says so")
  func broken() async {
    let output = Sink(isBroken: true).output()
    output.finish(0, "a")
    #expect(await !run(output))
  }

  @Test("results from many tasks at once")
  func manyTasks() async {
    let sink = Sink()
    let output = sink.output()
    let done = Task { await run(output) }
    await withTaskGroup { group in
      for number in 0..<2000 { group.addTask { output.finish(number, "\(number)") } }
    }
    output.end(total: 2000)
    #expect(await done.value)
    #expect(sink.text.withLock { $0 } == (0..<2000).map { "\($0)\n" }.joined())
  }
}
