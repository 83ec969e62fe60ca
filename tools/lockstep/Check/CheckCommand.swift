import ArgumentParser
import Glibc
import LockstepReflection
import LockstepSimulation

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Is a recorded history linearizable?",
    discussion: """
      Reads JSON lines: {"t":ns,"client":c,"id":n,"event":"call","op":"put|get|cas|delete|add|append","key":…,"args":[…]} \
      and {"t":ns,"id":n,"event":"return","ok":true|false|null,"value":…}. "ok" false: certainly not applied; null, or \
      no return: unknown. Exit code 0: it is; 1: it is not, and the smallest part that offends is printed; 2: no history.
      """)

  @Argument(help: "The file, or - for standard input.")
  var file: String

  @Option(help: "Steps of the search in one key, after which it is given up as undecided (exit code 1).")
  var maximumSteps = 20_000_000

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let history = try read()
    var undecided: [String] = []
    for (key, operations) in history.byKey {
      let timed = operations.map { TimedOperation($0.operation, called: $0.called, returned: $0.returned) }
      let checker = RegisterChecker(timed, maximumSteps: maximumSteps)
      switch checker.verdict() {
      case .linearizable: break
      case .undecided: undecided.append(key)
      case .notLinearizable(let place):
        let part = checker.offendingPart(at: place)
        report(
          key, part.items.map { (operations[$0.place], $0.isUnknown) }, of: operations.count,
          isSmallest: part.isSmallest)
        throw CommandFailure(message: "", exitCode: 1)
      }
    }
    let keys = history.byKey.count
    if undecided.isEmpty {
      Output.line(
        json
          ? JSONValue.object(["linearizable": true, "operations": .init(history.operations.count), "keys": .init(keys)])
            .text() : "linearizable: \(history.operations.count) operations on \(keys) keys")
      return
    }
    let names = undecided.map { JSONValue($0).text() }.joined(separator: ", ")
    if json {
      Output.line(.object(["linearizable": .null, "undecided": .array(undecided.map { .init($0) })]))
    }
    throw CommandFailure(
      message: "undecided after \(maximumSteps) steps: key \(names); try a larger --maximum-steps", exitCode: 1)
  }

  private func read() throws -> RecordedHistory {
    let descriptor = file == "-" ? STDIN_FILENO : open(file, O_RDONLY)
    guard descriptor >= 0 else { throw CommandFailure.usage("\(file): \(systemMessage(errno))") }
    defer { if file != "-" { close(descriptor) } }
    var history = RecordedHistory()
    var splitter = LineSplitter(limit: 16 << 20)
    var problem: RecordedHistory.Malformed?
    var number = 0
    func take(_ line: LineSplitter.Line) {
      number += 1
      guard problem == nil else { return }
      do throws(RecordedHistory.Malformed) {
        guard case .text(let bytes) = line else {
          throw RecordedHistory.Malformed(line: number, reason: "longer than 16 MiB")
        }
        try history.take(bytes)
      } catch { problem = error }
    }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while problem == nil {
      let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw CommandFailure.usage("\(file): \(systemMessage(errno))") }
      guard count > 0 else { break }
      buffer.withUnsafeBytes { splitter.append(UnsafeRawBufferPointer(rebasing: $0[..<count]), take) }
    }
    splitter.finish(take)
    if let problem { throw CommandFailure.usage("\(file): \(problem)") }
    guard !history.operations.isEmpty else { throw CommandFailure.usage("\(file): no operation is recorded there") }
    return history
  }

  private func report(
    _ key: String, _ part: [(RecordedHistory.Recorded, Bool)], of count: Int, isSmallest: Bool
  ) {
    let name = JSONValue(key).text()
    if json {
      let lines = part.map { operation, isUnknown in
        JSONValue.object([
          "line": .init(operation.line), "client": .init(operation.client),
          "operation": .init(operation.operation.words),
          "called": .init(operation.called),
          "returned": isUnknown ? .null : operation.returned.map { .init($0) } ?? .null,
        ])
      }
      Output.line(
        .object(["linearizable": false, "key": .init(key), "part": .array(lines), "smallest": .init(isSmallest)]))
      return
    }
    let known = part.filter { !$0.1 }
    let others = part.filter { $0.1 }
    Output.line("not linearizable: key \(name); of its \(count) operations, no order fits these \(known.count):")
    for (operation, _) in known {
      let end = operation.returned.map { "to \($0)" } ?? "on"
      Output.line(
        "  line \(operation.line): client \(operation.client), from \(operation.called) \(end): \(operation.operation.words)"
      )
    }
    defer {
      if !isSmallest {
        Output.line("  that is not shown to be the smallest part: the search for a smaller one was ended early")
      }
    }
    guard !others.isEmpty else { return }
    Output.line("  wherever these take effect after their calls, or whether they do at all:")
    for (operation, _) in others {
      let words = operation.operation.weakened.words
      Output.line("  line \(operation.line): client \(operation.client), from \(operation.called) on: \(words)")
    }
  }
}
