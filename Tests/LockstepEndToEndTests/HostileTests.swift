import Glibc
import LockstepReflection
import Synchronization
import Testing

extension EndToEndTests {
  @Test(.timeLimit(.minutes(15)))
  func `hostile connections end no node, cost no memory, and disturb no load`() async throws {
    let count = Setup.rounds(quick: 500, full: 10_000)
    let writes = Setup.rounds(quick: 100, full: 2500)
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      let pids = try (1...3).map { try cluster.pid(of: $0) }
      // The same load twice, on keys that are there already: what it costs by itself is known before the visitors come.
      for name in ["warm", "quiet"] { try await Load(cluster, name: name, keys: 50, limit: writes).finish() }
      let quiet = pids.map(Cluster.residentMemory)

      let load = Load(cluster, name: "quiet", keys: 50, limit: writes)
      let visitors = try Visitors(cluster, count: count)
      try await visitors.finish()
      let after = pids.map(Cluster.residentMemory)
      try await load.finish()
      #expect(load.attempts.filter { $0.outcome != .acknowledged }.map(\.answer) == [])
      #expect(cluster.exits == [])

      let end = pids.map(Cluster.residentMemory)
      for node in 0..<3 { #expect(max(after[node], end[node]) - quiet[node] < 32 << 10, "KiB, of node \(node + 1)") }
      Setup.say(
        "\(count) hostile connections, \(load.attempts.count) writes in \(load.span): resident KiB \(quiet) before, "
          + "\(after) with visitors, \(end) at the end")
      try await cluster.waitForEqualNodes()
      try await wait(upTo: .seconds(40), "half frames are given up") {
        try await cluster.status().allSatisfy { ($0["connections"]?.integer ?? .max) <= 1 }
      }
      withExtendedLifetime(visitors) {}
    }
  }

  @Test(.timeLimit(.minutes(4)))
  func `a client that never reads its answers is let go, and the others do not notice`() async throws {
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      let leader = try await cluster.leader()
      let pid = try cluster.pid(of: leader)
      // Too long for an argument.
      let big = try await cluster.calls([Line.put("big", String(repeating: "x", count: 500_000))])
      #expect(big.first?.isOK == true)
      let before = Cluster.residentMemory(pid)
      let file = try Socket.connect(port: cluster.base + leader)
      defer { close(file) }
      Socket.send(file, HostileBytes.clientHello)
      // 200 answers of half a megabyte, which nobody takes.
      let request = HostileBytes.call(Line.kv + "Get", [0x0A, 3] + Array("big".utf8), read: 6)
      for _ in 0..<200 where !Socket.send(file, request) { break }
      for number in 0..<20 {
        let answer = try await cluster.put("small-\(number)", "1")
        #expect(answer.isOK, "\(answer.text())")
      }
      let after = Cluster.residentMemory(pid)
      #expect(after - before < 64 << 10)
      // Nothing was taken of what waits for it for 30 s.
      try await wait(upTo: .seconds(60), "it is let go") {
        try await cluster.status()[leader - 1]["connections"]?.integer ?? .max <= 1
      }
      #expect(cluster.exits == [])
      Setup.say("a client that never reads: resident KiB \(before) before, \(after) after")
    }
  }
}

extension EndToEndTests {
  @Test(.timeLimit(.minutes(2)))
  func `a client that has said all that it has to say still gets its answers, and then the end`() async throws {
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      let big = try await cluster.calls([Line.put("big", String(repeating: "x", count: 500_000))])
      #expect(big.first?.isOK == true)
      for node in 1...3 {
        let file = try Socket.connect(port: cluster.base + node)
        defer { close(file) }
        Socket.send(file, HostileBytes.clientHello)
        // One to be carried out, by the leader in the end, and four long ones to be read.
        let key = Array("by \(node)".utf8)
        let put = [0x0A, UInt8(key.count)] + key + [0x12, 1, 0x62]
        Socket.send(file, HostileBytes.call(Line.kv + "Put", put, read: 0))
        for _ in 0..<4 {
          Socket.send(file, HostileBytes.call(Line.kv + "Get", [0x0A, 3] + Array("big".utf8), read: 1))
        }
        #expect(shutdown(file, Int32(SHUT_WR)) == 0)
        var bytes = 0
        while case let part = Socket.receive(file), !part.isEmpty { bytes += part.count }
        #expect(bytes > 4 * 500_000, "node \(node)")
        let carriedOut = try await cluster.calls([Line.get("by \(node)")])
        #expect(carriedOut.first?["reply"]?["found"]?.isTrue == true, "\(carriedOut)")
      }
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `more idle clients than there may be files do not keep a node from its log`() async throws {
    let directory = try TemporaryDirectory()
    let wrapper = directory.path + "/node"
    try Files.write(
      "#!/bin/bash\nulimit -n 200\nexec '\(Setup.lockstep)' node \"$@\" --segment-bytes 1048576\n", to: wrapper,
      mode: 0o755)
    try await Cluster.with(directory.path + "/data", binary: wrapper, ["--leader", "1"]) { cluster in
      var idle: [Int32] = []
      defer { for file in idle { close(file) } }
      for number in 0..<400 {
        let port = number % 2 == 0 ? cluster.base + 1 : cluster.base + 101
        if let file = try? Socket.connect(port: port) { idle.append(file) }
      }
      #expect(idle.count > 200)
      // Through a follower, as the leader takes no more clients; enough for several files of the log.
      let value = String(repeating: "v", count: 100_000)
      let lines = (0..<220).map { Line.put("key-\($0)", value) }
      let finished = try await Finished.run(
        ["call", "-", "--endpoints", cluster.endpoint(2)], input: lines, limit: .seconds(60))
      #expect(finished.lines.count == 220 && finished.lines.allSatisfy { $0.hasPrefix("{\"ok\":true") })
      #expect(Files.names(cluster.data(1)).filter { $0.hasPrefix("log-") }.count > 3)
      #expect(cluster.exits == [])
    }
  }
}

/// Hostile connections, a few at a time, to every port of a cluster in turn.
private final class Visitors: Sendable {
  private struct State {
    var next = 0
    var running = 0
    var problems: [String] = []
    var open: [Int32] = []
  }

  private let state = Mutex(State())

  init(_ cluster: Cluster, count: Int) throws {
    // The cluster's true name: only its disk is wrong, then.
    let name = Files.text("\(cluster.directory)/cluster").split(separator: "\n").first.map(String.init) ?? ""
    let id = HostileBytes.clusterID(name)
    let (base, threads) = (cluster.base, 8)
    state.withLock { $0.running = threads }
    for _ in 0..<threads {
      inThread {
        while let number = self.take(count) {
          let node = number % 3 + 1
          let port = number / 3 % 2 == 0 ? base + node : base + 100 + node
          self.visit(port, HostileBytes.visit(number / 6, cluster: id, target: UInt64(node)))
        }
        self.state.withLock { $0.running -= 1 }
      }
    }
  }

  deinit { state.withLock { for file in $0.open { close(file) } } }

  func finish() async throws {
    try await wait(upTo: .seconds(600), "all visitors have been") { state.withLock { $0.running == 0 } }
    let problems = state.withLock { $0.problems }
    #expect(problems == [])
  }

  private func take(_ count: Int) -> Int? {
    state.withLock { state in
      guard state.next < count else { return nil }
      state.next += 1
      return state.next - 1
    }
  }

  private func visit(_ port: Int, _ visit: HostileBytes.Visit) {
    let file: Int32
    do { file = try Socket.connect(port: port) } catch {
      state.withLock { $0.problems.append("\(error)") }
      return
    }
    for (place, part) in visit.parts.enumerated() {
      guard Socket.send(file, part) else { break }
      if place == 0, visit.shakesHands, Socket.receive(file).isEmpty { break }
    }
    guard visit.staysOpen else {
      close(file)
      return
    }
    // In silence, beside many others; the node has to end it, and the oldest make place for new ones.
    let former = state.withLock { state -> Int32? in
      state.open.append(file)
      return state.open.count > 200 ? state.open.removeFirst() : nil
    }
    if let former { close(former) }
  }
}

extension Load {
  /// From the first question to the last answer.
  var span: Duration {
    let attempts = attempts
    guard let first = attempts.map(\.asked).min(), let last = attempts.map(\.answered).max() else { return .zero }
    return first.duration(to: last)
  }
}
