import Glibc
import LockstepReflection
import Testing

extension EndToEndTests {
  @Test(.timeLimit(.minutes(2)))
  func `two launchers, or two nodes, on one directory are refused`() async throws {
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      let base = try Ports.freeBase()
      let second = try await Finished.run(["up", "--dir", cluster.directory, "--base-port", "\(base)"])
      #expect(second.code == 1 && second.errors.contains("another 'lockstep up'"), "\(second.errors)")
      let node = try await Finished.run(Self.node(1, dir: cluster.data(1), base: base))
      #expect(node.code == 11, "\(node.errors)")
      #expect(node.errors.contains("\(try cluster.pid(of: 1))"), "the holder is named: \(node.errors)")
      #expect(try await cluster.put("a", "1").isOK)
      #expect(cluster.exits == [])
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `a port that is taken ends a node with exit code 10`() async throws {
    let directory = try TemporaryDirectory()
    let base = try Ports.freeBase()
    for port in [base + 1, base + 101] {
      let holder = try Socket.listen(port: port)
      defer { close(holder) }
      let node = try await Finished.run(Self.node(1, dir: directory.path + "/1", base: base))
      #expect(node.code == 10 && node.errors.contains("\(port)"), "\(node.errors)")
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `a directory of another node or cluster is refused with exit code 12`() async throws {
    let directory = try TemporaryDirectory()
    let base = try Ports.freeBase()
    let cluster = try await Cluster.with(directory.path, base: base) { $0 }
    let node = try await Finished.run(Self.node(2, dir: cluster.data(1), base: base))
    #expect(node.code == 12, "\(node.errors)")
    let other = try await Finished.run(Self.node(1, dir: cluster.data(1), base: base) + ["--cluster", "other"])
    #expect(other.code == 12, "\(other.errors)")
  }

  @Test(.timeLimit(.minutes(2)))
  func `a wiped disk under the old number is refused by its peers, and the cluster goes on`() async throws {
    let directory = try TemporaryDirectory()
    let base = try Ports.freeBase()
    try await Cluster.with(directory.path, base: base) { cluster in
      #expect(try await cluster.put("before", "1").isOK)
      try await cluster.waitForEqualNodes()
    }
    Files.remove(directory.path + "/3")
    try await Cluster.with(directory.path, base: base) { cluster in
      for number in 0..<10 { #expect(try await cluster.put("after-\(number)", "1").isOK) }
      let before = try await cluster.get("before")
      #expect(before["reply"]?["value"] == "1", "\(before.text())")
      try await wait(upTo: .seconds(10), "node 3 is refused") { cluster.nodeLog(3).contains("another disk") }
      try await wait(upTo: .seconds(10), "up says so: \(cluster.launcher.errors)") {
        cluster.launcher.errors.contains("lockstep: [3] node 1 refuses this node: node 3 comes with another disk")
          && cluster.launcher.errors.contains("lockstep: [3] this node is refused by")
      }
      #expect(cluster.exits.allSatisfy { $0.node == 3 })
      let status = try await cluster.status()
      #expect(status[2]["role"]?.string != "leader" && (status[2]["commitIndex"]?.integer ?? 0) == 0)
      // Two of three is a majority only without the third: with one of them gone, nobody may be found to agree.
      try cluster.signal(SIGSTOP, node: try await cluster.leader() == 1 ? 2 : 1)
      let answer = try await cluster.put("alone", "1", ["--timeout", "2s"])
      #expect(!answer.isOK, "a wiped disk was counted: \(answer.text())")
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `an older copy of a node's directory is refused, as up says, and what was acknowledged since is served`()
    async throws
  {
    let directory = try TemporaryDirectory()
    let base = try Ports.freeBase()
    let copy = directory.path + "/copy"
    try await Cluster.with(directory.path, base: base, ["--no-restart"]) { cluster in
      #expect(try await cluster.put("a", "old").isOK)
      try await cluster.waitForEqualNodes()
      #expect(try await Program("/bin/cp", ["-a", cluster.data(2), copy]).waitForExit() == 0)
      try cluster.signal(SIGKILL, node: 3)
      _ = try await cluster.waitForExit(of: 3)
      #expect(try await cluster.put("a", "new").isOK)
    }
    Files.remove(directory.path + "/2")
    #expect(rename(copy, directory.path + "/2") == 0)
    try await Cluster.with(directory.path, base: base) { cluster in
      #expect(try await cluster.waitForExit(of: 2).code == 12)
      try await wait(upTo: .seconds(10), "up says so: \(cluster.launcher.errors)") {
        cluster.launcher.errors.contains("the directory is a copy")
      }
      let read = try await cluster.get("a")
      #expect(read["reply"]?["value"] == "new", "\(read.text())")
    }
    // It was no latest one, but who says so is believed: the other nodes still know what they were promised.
    try await Cluster.with(directory.path, base: base, ["--moved-directory"]) { cluster in
      let read = try await cluster.get("a")
      #expect(read["reply"]?["value"] == "new", "\(read.text())")
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `a log put back beside its identity after a kill is refused, also when the node is away that knows better`()
    async throws
  {
    let directory = try TemporaryDirectory()
    let base = try Ports.freeBase()
    let (data, copy) = (directory.path + "/2", directory.path + "/copy")
    try await Cluster.with(directory.path, base: base, ["--no-restart"]) { cluster in
      #expect(try await cluster.put("a", "old").isOK)
      try await cluster.waitForEqualNodes()
      #expect(try await Program("/bin/cp", ["-a", data, copy]).waitForExit() == 0)
      try cluster.signal(SIGKILL, node: 3)
      _ = try await cluster.waitForExit(of: 3)
      #expect(try await cluster.put("a", "new").isOK)
      // What is noted from now on is of an entry that the copy does not have.
      func marks() -> [String] { Files.names(data).filter { $0.hasPrefix("synced-") } }
      let noted = marks()
      #expect(try await cluster.put("a", "newer").isOK)
      try await wait(upTo: .seconds(20), "node 2 notes how far its log is synced") {
        marks() != noted
      }
      try cluster.signal(SIGKILL, node: 2)
      _ = try await cluster.waitForExit(of: 2)
    }
    func moveLog(from: String, to: String) {
      for name in Files.names(from) where name.hasPrefix("log-") {
        #expect(rename(from + "/" + name, to + "/" + name) == 0)
      }
    }
    let latest = directory.path + "/latest"
    #expect(mkdir(latest, 0o700) == 0)
    moveLog(from: data, to: latest)
    moveLog(from: copy, to: data)
    let node = try await Finished.run(Self.node(2, dir: data, base: base))
    #expect(node.code == 13 && node.errors.contains("it is an older copy"), "\(node.errors)")
    let verified = try await Finished.run(["log", "verify", data])
    #expect(verified.code == 1 && verified.errors.contains("it is an older copy"), "\(verified.errors)")
    moveLog(from: data, to: copy)
    moveLog(from: latest, to: data)
    try await Cluster.with(directory.path, base: base) { cluster in
      let read = try await cluster.get("a")
      #expect(read["reply"]?["value"] == "newer", "\(read.text())")
      #expect(cluster.exits == [])
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `an older copy that was put back over the files of a directory after a kill is refused, also as the latest`()
    async throws
  {
    let directory = try TemporaryDirectory()
    let base = try Ports.freeBase()
    let (data, copy) = (directory.path + "/2", directory.path + "/copy")
    try await Cluster.with(directory.path, base: base, ["--no-restart"]) { cluster in
      #expect(try await cluster.put("a", "old").isOK)
      try await cluster.waitForEqualNodes()
      func mark() -> String? { Files.names(data).first { $0.hasPrefix("synced-") } }
      try await wait(upTo: .seconds(20), "node 2 notes how far its log is synced") { mark() != nil }
      #expect(try await Program("/bin/cp", ["-a", data, copy]).waitForExit() == 0)
      let noted = mark()
      #expect(try await cluster.put("a", "new").isOK)
      try await wait(upTo: .seconds(20), "node 2 notes more") { mark() != noted }
      try cluster.signal(SIGKILL, node: 2)
      _ = try await cluster.waitForExit(of: 2)
    }
    #expect(try await Program("/bin/cp", ["-a", copy + "/.", data]).waitForExit() == 0)
    let node = try await Finished.run(Self.node(2, dir: data, base: base))
    #expect(node.code == 12 && node.errors.contains("the directory is a copy"), "\(node.errors)")
    let moved = try await Finished.run(Self.node(2, dir: data, base: base) + ["--moved-directory"])
    #expect(moved.code == 13 && moved.errors.contains("it is an older copy"), "\(moved.errors)")
    let verified = try await Finished.run(["log", "verify", data])
    #expect(verified.code == 1 && verified.errors.contains("it is an older copy"), "\(verified.errors)")
  }

  @Test(.timeLimit(.minutes(2)))
  func `a flipped byte in a stopped node's log is named, and the others go on without it`() async throws {
    let directory = try TemporaryDirectory()
    let base = try Ports.freeBase()
    try await Cluster.with(directory.path, base: base) { cluster in
      for number in 0..<5 { #expect(try await cluster.put("key-\(number)", "flipped-\(number)").isOK) }
      try await cluster.waitForEqualNodes()
    }
    let (file, offset) = try Self.damage(directory.path + "/2", value: "flipped-2")
    let verify = try await Finished.run(["log", "verify", directory.path + "/2", "--json"])
    let verdict = try JSONValue(parsing: verify.lines.first ?? "null")
    #expect(verify.code == 1)
    #expect(verdict["ok"] == false && verdict["file"]?.string?.hasSuffix(file) == true, "\(verdict.text())")
    let named = verdict["offset"]?.integer ?? -1
    #expect(named >= 0 && named <= offset && offset - named < 4096, "byte \(offset): \(verdict.text())")
    #expect(verify.errors.contains(file) && verify.errors.contains("\(named)"))
    #expect(try await Finished.run(["log", "verify", directory.path + "/1"]).code == 0)

    try await Cluster.with(directory.path, base: base) { cluster in
      let exit = try await cluster.waitForExit(of: 2)
      #expect(exit.code == 13 && cluster.nodeLog(2).contains(file))
      for number in 0..<5 {
        #expect(try await cluster.get("key-\(number)")["reply"]?["value"]?.string == "flipped-\(number)")
      }
      #expect(try await cluster.put("after", "1").isOK)
      #expect(cluster.starts.filter { $0.node == 2 }.count == 1 && Set(cluster.runningNodes.keys) == [1, 3])
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `killing up with -9 leaves no orphans, and the cluster starts again`() async throws {
    let directory = try TemporaryDirectory()
    let base = try Ports.freeBase()
    try await { () async throws in
      let cluster = try Cluster(directory.path, base: base)
      try await cluster.waitUntilReady()
      let pids = cluster.runningNodes.values
      #expect(try await cluster.put("a", "1").isOK)
      cluster.launcher.send(SIGKILL)
      try await wait(upTo: .seconds(20), "no node is left") { pids.allSatisfy(hasEnded) }
    }()
    try await Cluster.with(directory.path, base: base) { cluster in
      let answer = try await cluster.get("a")
      #expect(answer["reply"]?["value"] == "1", "\(answer.text())")
    }
  }

  @Test(.timeLimit(.minutes(5)))
  func `kill -9 at any moment of a start leaves a directory that starts`() async throws {
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      for round in 0..<Setup.rounds(quick: 4, full: 40) {
        let starts = cluster.starts.count
        try await wait(upTo: .seconds(20), "a node runs") { cluster.runningNodes[3] != nil }
        try cluster.signal(SIGKILL, node: 3)
        try await wait(upTo: .seconds(20), "it is started again", every: .milliseconds(1)) {
          cluster.starts.count > starts
        }
        try await pass(.milliseconds(round * 3 % 60))
      }
      #expect(cluster.exits.allSatisfy { $0.signal == 9 }, "\(cluster.exits)")
      #expect(try await cluster.put("a", "1").isOK)
      try await cluster.waitForEqualNodes()
    }
  }

  static func node(_ id: Int, dir: String, base: Int) -> [String] {
    let members = (1...3).map { "\($0)=127.0.0.1:\(base + 100 + $0)" }.joined(separator: ",")
    return [
      "node", "--id", "\(id)", "--dir", dir, "--listen", "127.0.0.1:\(base + id)", "--peer-listen",
      "127.0.0.1:\(base + 100 + id)", "--members", members,
    ]
  }

  /// Turns a bit of `value` where it stands in a log file.
  private static func damage(_ directory: String, value: String) throws -> (file: String, offset: Int) {
    let wanted = Array(value.utf8)
    for name in Files.names(directory) where name.hasPrefix("log-") {
      let bytes = Files.read("\(directory)/\(name)")
      var place = 0
      while let next = bytes[place...].firstIndex(of: wanted[0]), next + wanted.count <= bytes.count {
        if Array(bytes[next..<next + wanted.count]) == wanted {
          try Files.damage("\(directory)/\(name)", at: next)
          return (name, next)
        }
        place = next + 1
      }
    }
    throw Failure("'\(value)' is in no file of \(directory)")
  }

  @Test(.timeLimit(.minutes(1)))
  func `a node makes its directory and what leads there`() async throws {
    let directory = try TemporaryDirectory()
    let data = directory.path + "/not/there/yet/1"
    let node = try Program(Setup.lockstep, Self.node(1, dir: data, base: try Ports.freeBase()))
    try await wait(upTo: .seconds(20), "it serves; \(node.errors)") {
      node.errors.contains("serves clients") || !node.isRunning
    }
    node.send(SIGTERM)
    #expect(try await node.waitForExit(.seconds(20)) == 0, "\(node.errors)")
    #expect(Files.names(data).contains("identity"))
    // A directory that cannot be made is no failure of the disk.
    let refused = try await Finished.run(Self.node(1, dir: data + "/identity/x/1", base: try Ports.freeBase()))
    #expect(refused.code == 1 && refused.errors.contains("/identity/x cannot be made"), "\(refused.errors)")
  }

  @Test(.timeLimit(.minutes(1)))
  func `a directory whose name begins with a dash serves like any other`() async throws {
    let directory = try TemporaryDirectory()
    let up = ["up", "--nodes", "1", "--dir=-data", "--base-port", "\(try Ports.freeBase())"]
    let process = try Program("/usr/bin/env", ["-C", directory.path, Setup.lockstep] + up)
    try await wait(upTo: .seconds(20), "it serves; \(process.errors)") {
      process.lines.contains { $0.hasPrefix("READY") } || !process.isRunning
    }
    process.send(SIGTERM)
    #expect(try await process.waitForExit(.seconds(20)) == 0, "\(process.errors)")
    #expect(Files.names(directory.path) == ["-data"])
  }
}

extension EndToEndTests {
  @Test(.timeLimit(.minutes(2)))
  func `a snapshot is taken of the node that is named, inspected, and a damaged one is told with its byte`()
    async throws
  {
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      #expect(try await cluster.put("a", "1").isOK)
      let endpoints = cluster.endpoints()
      let taken = try await Finished.run(["snapshot", "--node", "2", "--json", "--endpoints", endpoints])
      let done = try JSONValue(parsing: taken.lines.first ?? "null")
      #expect(taken.code == 0 && done["node"]?.integer == 2 && (done["bytes"]?.integer ?? 0) > 0, "\(taken.errors)")
      let name = try #require(Files.names(cluster.data(2)).last { $0.hasPrefix("snapshot-1-") })
      let path = cluster.data(2) + "/" + name
      let seen = try await Finished.run(["snapshot", "inspect", path, "--json"])
      let file = try JSONValue(parsing: seen.lines.first ?? "null")
      #expect(seen.code == 0 && file["index"]?.integer == done["index"]?.integer, "\(seen.lines) \(seen.errors)")
      #expect(file["members"]?.array?.count == 3)
      let status = try await cluster.status()
      #expect(status[1]["snapshot"]?["index"]?.integer == done["index"]?.integer)
      let nobody = try await Finished.run(["snapshot", "--node", "9", "--endpoints", endpoints])
      #expect(nobody.code == 1 && nobody.errors.contains("node 9 answers at none of the endpoints; there are 1, 2, 3"))
      var bytes = Files.read(path)
      bytes[200] ^= 1
      let copy = directory.path + "/" + name
      try Files.write("", to: copy)
      let damagedFile = open(copy, O_WRONLY)
      defer { close(damagedFile) }
      _ = bytes.withUnsafeBytes { write(damagedFile, $0.baseAddress, $0.count) }
      let damaged = try await Finished.run(["snapshot", "inspect", copy])
      #expect(damaged.code == 1 && damaged.errors.contains("\(name) is damaged at byte"), "\(damaged.errors)")
      let other = try await Finished.run(["snapshot", "inspect", "/dev/null"])
      #expect(other.code == 1 && other.errors.contains("/dev/null is not a file"), "\(other.errors)")
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `snapshots are inspected by any name, several at once, and all of a node's directory`() async throws {
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      let data = cluster.data(1)
      let empty = try await Finished.run(["snapshot", "inspect", data])
      #expect(empty.code == 1 && empty.errors.contains("\(data) holds no snapshot"), "\(empty.errors)")
      for number in 0..<2 {
        #expect(try await cluster.put("a", "\(number)").isOK)
        let taken = try await Finished.run(["snapshot", "--node", "1", "--endpoints", cluster.endpoints()])
        #expect(taken.code == 0, "\(taken.errors)")
      }
      let names = Files.names(data).filter { $0.hasPrefix("snapshot-1-") }
      #expect(names.count == 2)
      let all = try await Finished.run(["snapshot", "inspect", data, "--json"])
      let objects = try all.lines.map { try JSONValue(parsing: $0) }
      #expect(all.code == 0 && objects.map { $0["file"]?.string } == names.map { "\(data)/\($0)" }, "\(all.lines)")
      let copy = directory.path + "/my copy"
      let copied = try await Program("/bin/cp", ["\(data)/\(names[0])", copy]).waitForExit()
      #expect(copied == 0)
      let log = "\(data)/log-0000000001"
      let mixed = try await Finished.run(["snapshot", "inspect", copy, log, "\(data)/\(names[1])", "/no/such"])
      #expect(mixed.code == 1 && mixed.lines.filter { $0 == "all of it holds" }.count == 2, "\(mixed.lines)")
      #expect(mixed.lines.contains(copy) && mixed.errors.contains("\(log): not a snapshot"), "\(mixed.errors)")
      #expect(mixed.errors.contains("/no/such: No such file"), "\(mixed.errors)")
      let whole = try await Finished.run(["snapshot", "inspect", directory.path])
      #expect(whole.code == 1 && whole.errors.contains("holds a whole cluster"), "\(whole.errors)")
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `log verify looks at all snapshots, and says which start they allow`() async throws {
    let directory = try TemporaryDirectory()
    let data = directory.path + "/1"
    try await Cluster.with(directory.path) { cluster in
      for number in 0..<2 {
        #expect(try await cluster.put("a", "\(number)").isOK)
        let taken = try await Finished.run(["snapshot", "--node", "1", "--endpoints", cluster.endpoints()])
        #expect(taken.code == 0, "\(taken.errors)")
      }
      #expect(try await cluster.put("a", "2").isOK)
    }
    let names = Files.names(data).filter { $0.hasPrefix("snapshot-1-") }
    #expect(names.count == 2)
    let sound = try await Finished.run(["log", "verify", data])
    #expect(sound.code == 0 && sound.lines.contains { $0.contains("would start from \(names[1])") }, "\(sound.lines)")
    // The log begins behind the older one, as all nodes have what is in it.
    for (place, start) in [(1, "would start from \(names[0])"), (0, "cannot start: \(data)/\(names[1])")] {
      try Files.damage("\(data)/\(names[place])", at: 200)
      let damaged = try await Finished.run(["log", "verify", data])
      #expect(damaged.code == 1 && damaged.errors.contains("\(names[1]) is damaged at byte"), "\(damaged.errors)")
      #expect(damaged.lines.contains { $0.contains(start) }, "\(damaged.lines)")
    }
    let verdict = try await Finished.run(["log", "verify", data, "--json"])
    let object = try JSONValue(parsing: verdict.lines.first ?? "null")
    #expect(verdict.code == 1 && object["ok"] == false && object["snapshots"]?.array?.count == 2, "\(verdict.lines)")
    #expect(object["file"]?.string == "\(data)/\(names[1])" && object["offset"]?.integer != nil, "\(object.text())")
  }
}
