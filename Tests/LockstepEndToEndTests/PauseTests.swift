import Glibc
import LockstepReflection
import Synchronization
import Testing

extension EndToEndTests {
  @Test(.timeLimit(.minutes(10)))
  func `a leader that stands still for 5 s and goes on answers no linearizable read with old values`() async throws {
    let rounds = Setup.rounds(quick: 1, full: 5)
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      let registers = try (0..<4).map { try Register(cluster, number: $0) }
      let readers = try (1...3).map { try Reader(cluster, node: $0, registers) }
      for _ in 0..<rounds {
        let leader = try await cluster.leader()
        try cluster.signal(SIGSTOP, node: leader)
        try await pass(.seconds(1))
        // What the leader answered before it stood still has come by now.
        let before = registers.map(\.acknowledged)
        try await pass(.seconds(4))
        let during = zip(registers, before).map { $0.acknowledged - $1 }
        try cluster.signal(SIGCONT, node: leader)
        #expect(during.allSatisfy { $0 > 0 }, "nobody took over from node \(leader)")
        let good = readers.map(\.counts.good)
        try await wait(upTo: .seconds(20), "every node answers again") {
          zip(readers, good).allSatisfy { $0.counts.good > $1 + 100 }
        }
      }
      for register in registers { try await register.finish() }
      for reader in readers { try await reader.finish() }
      for (place, reader) in readers.enumerated() {
        let counts = reader.counts
        Setup.say("node \(place + 1): \(counts.good) reads fresh, \(counts.stale.count) stale, \(counts.failed) failed")
        #expect(counts.stale == [])
      }
      Setup.say("\(registers.map(\.acknowledged)) acknowledged writes of the four registers")
    }
  }
}

/// A key whose value only ever grows: each write is a compare-and-set, so that one whose outcome was unknown cannot come
/// back later and undo what followed it.
private final class Register: Sendable {
  private struct State {
    var acknowledged = 0
    var isStopping = false
    var hasEnded = false
  }

  let key: String
  private let state = Mutex(State())

  init(_ cluster: Cluster, number: Int) throws {
    key = "register-\(number)"
    let replies = Replies()
    let process = try Program(
      Setup.lockstep, ["call", "-", "--endpoints", cluster.endpoints(from: number % 3 + 1)]
    ) { replies.append($0) }
    inThread {
      self.run(process, replies)
      self.state.withLock { $0.hasEnded = true }
    }
  }

  /// The value that every read asked from now on must show at least.
  var acknowledged: Int { state.withLock { $0.acknowledged } }

  func finish() async throws {
    state.withLock { $0.isStopping = true }
    try await wait(upTo: .seconds(30), "the writer ends") { state.withLock { $0.hasEnded } }
  }

  private func run(_ process: Program, _ replies: Replies) {
    var value = 0
    while !state.withLock({ $0.isStopping }) {
      var request: JSONValue = ["key": .string(key), "value": .string("\(value + 1)")]
      if value > 0 { request["expected"] = .string("\(value)") }
      let line = "{\"method\":\"\(Line.kv)CompareAndSet\",\"timeout\":\"1s\",\"request\":\(request.text())}"
      guard process.write(line), let answer = replies.next(), let json = try? JSONValue(parsing: answer) else { break }
      if json.isOK {
        // When it was not swapped, an earlier attempt of unknown outcome was: the reply shows what is there.
        value = json["reply"]?["current"]?.integer ?? 0
        let known = value
        state.withLock { $0.acknowledged = max($0.acknowledged, known) }
      } else {
        replies.pause(milliseconds: 10)
      }
    }
    process.endInput()
  }
}

/// Asks one node for the registers, linearizably, and keeps on asking while earlier answers are still to come.
private final class Reader: Sendable {
  struct Counts {
    var good = 0
    var failed = 0
    var stale: [String] = []
  }

  private struct State {
    var counts = Counts()
    /// What each read under way must show at least, in the order asked.
    var floors: [Int] = []
    var asked = 0
    var answered = 0
    var isStopping = false
  }

  private let state: Box<State>
  /// Kept until the last answer: a program that nobody refers to is killed.
  private let process: Program

  init(_ cluster: Cluster, node: Int, _ registers: [Register]) throws {
    let state = Box(State())
    self.state = state
    let process = try Program(
      Setup.lockstep, ["call", "-", "--concurrency", "1000", "--endpoints", cluster.endpoint(node)]
    ) { line in
      let json = (try? JSONValue(parsing: line)) ?? .null
      state.value.withLock { Self.judge(json, &$0) }
    }
    self.process = process
    inThread {
      let pacer = Replies()
      var number = 0
      while !state.value.withLock({ $0.isStopping }) {
        pacer.pause(milliseconds: 3)
        let register = registers[number % registers.count]
        number += 1
        // Taken before it is asked: what was acknowledged by then must be seen.
        let floor = register.acknowledged
        state.value.withLock {
          $0.floors.append(floor)
          $0.asked += 1
        }
        guard process.write(Line.get(register.key, timeout: "8s")) else { break }
      }
      process.endInput()
    }
  }

  var counts: Counts { state.value.withLock { $0.counts } }

  func finish() async throws {
    state.value.withLock { $0.isStopping = true }
    let code = try await process.waitForExit()
    let (asked, answered) = state.value.withLock { ($0.asked, $0.answered) }
    guard asked == answered else {
      throw Failure("\(asked) reads, \(answered) answers, code \(code): \(process.errors)")
    }
  }

  private static func judge(_ json: JSONValue, _ state: inout State) {
    state.answered += 1
    let floor = state.floors.removeFirst()
    guard json.isOK else {
      state.counts.failed += 1
      return
    }
    let value = json["reply"]?["value"]?.integer ?? 0
    if value >= floor { state.counts.good += 1 } else { state.counts.stale.append("\(floor) > \(json.text())") }
  }
}

/// A mutex that two closures may share.
final class Box<Value>: Sendable {
  let value: Mutex<Value>
  init(_ value: sending Value) { self.value = Mutex(value) }
}
