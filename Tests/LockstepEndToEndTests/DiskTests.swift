import Glibc
import LockstepReflection
import Testing

extension EndToEndTests {
  static let strace = ["/usr/bin/strace", "/bin/strace"].first { (path: String) in access(path, X_OK) == 0 }

  @Test(.enabled(if: geteuid() == 0, "mounting a small file system takes root"), .timeLimit(.minutes(3)))
  func `a full disk ends no node: it takes no entries, the others go on, and with space it has them all`()
    async throws
  {
    let directory = try TemporaryDirectory()
    let small = directory.path + "/small"
    mkdir(small, 0o755)
    guard mount("tmpfs", small, "tmpfs", 0, "size=6m") == 0 else {
      Setup.say("NOT TESTED: root may not mount a file system here")
      return
    }
    defer { umount2(small, Int32(MNT_DETACH)) }
    let data = directory.path + "/data"
    mkdir(data, 0o755)
    symlink(small, data + "/2")
    try await Cluster.with(data, ["--leader", "1"]) { cluster in
      let value = String(repeating: "v", count: 100_000)
      var acknowledged: [String] = []
      try await wait(upTo: .seconds(60), "node 2 says that it has no room", every: .milliseconds(1)) {
        let key = "key-\(acknowledged.count)"
        let answer = try await cluster.put(key, value)
        if answer.isOK { acknowledged.append(key) } else { Issue.record("\(answer.text())") }
        return cluster.nodeLog(2).contains("no room for more commands")
      }
      // Far more than it has room for.
      for number in 0..<80 {
        let answer = try await cluster.put("full-\(number)", value)
        if answer.isOK { acknowledged.append("full-\(number)") } else { Issue.record("\(answer.text())") }
      }
      #expect(try await cluster.status()[1]["disk"]?["missingBytes"]?.integer ?? 0 > 0)
      #expect(try await cluster.get("key-0", at: cluster.endpoint(2), ["--read", "any"]).isOK)
      // More room, as if somebody had cleared up.
      #expect(mount("tmpfs", small, "tmpfs", UInt(MS_REMOUNT), "size=200m") == 0)
      try await cluster.waitForEqualNodes()
      #expect(cluster.exits.isEmpty, "\(cluster.exits)")
      for key in acknowledged { #expect(try await cluster.get(key)["reply"]?["value"]?.string == value) }
      Setup.say("disk full, \(acknowledged.count) writes of 100 kB acknowledged: no node ended, then level again")
    }
  }

  @Test(.timeLimit(.minutes(3)))
  func `with a budget that is used up commands are refused, reads go on, and a larger one is all it takes`()
    async throws
  {
    let directory = try TemporaryDirectory()
    let data = directory.path + "/data"
    let budget = 64 << 20
    let value = String(repeating: "v", count: 900_000)
    var acknowledged: [String] = []
    try await Cluster.with(data, ["--disk-budget", "64MiB"]) { cluster in
      var refusal: JSONValue?
      while refusal == nil, acknowledged.count < 200 {
        let answer = try await cluster.calls([Line.put("key-\(acknowledged.count)", value)])[0]
        if answer.isOK { acknowledged.append("key-\(acknowledged.count)") } else { refusal = answer }
        for node in 1...3 { #expect(Files.bytes(cluster.data(node)) <= budget) }
      }
      let told = try #require(refusal)
      #expect(told["code"]?.string == "RESOURCE_EXHAUSTED" && told["applied"]?.string == "no", "\(told.text())")
      #expect(told["message"]?.string?.contains("bytes are missing") == true, "\(told.text())")
      #expect(acknowledged.count > 10)
      for node in 1...3 { #expect(try await cluster.get("key-0", at: cluster.endpoint(node)).isOK) }
      #expect(cluster.exits.isEmpty, "\(cluster.exits)")
    }
    try await Cluster.with(data, ["--disk-budget", "1GiB"]) { cluster in
      #expect(try await cluster.calls([Line.put("more", value)])[0].isOK)
      try await cluster.waitForEqualNodes()
      for key in acknowledged { #expect(try await cluster.get(key)["reply"]?["value"]?.string == value) }
    }
    Setup.say("budget of 64 MiB used up after \(acknowledged.count) writes of 900 kB")
  }

  @Test(.enabled(if: strace != nil, "strace makes the sync fail"), .timeLimit(.minutes(3)))
  func `a failed sync ends the node with exit code 14, and no acknowledged write is lost`() async throws {
    let directory = try TemporaryDirectory()
    // The leader's first life only: some sync under load fails.
    let wrapper = directory.path + "/node"
    let script = """
      #!/bin/sh
      if [ "$2" = 1 ] && mkdir '\(directory.path)/failed' 2>/dev/null; then
        exec '\(Self.strace ?? "")' -D -f -o /dev/null -e trace=fdatasync -e inject=fdatasync:error=EIO:when=120 \
        '\(Setup.lockstep)' node "$@"
      fi
      exec '\(Setup.lockstep)' node "$@"

      """
    try Files.write(script, to: wrapper, mode: 0o755)
    let cluster = try await Cluster.with(directory.path + "/data", binary: wrapper, ["--leader", "1"]) { cluster in
      let load = Load(cluster)
      let exit = try await cluster.waitForExit(of: 1, .seconds(60))
      #expect(exit.code == 14, "\(exit)")
      #expect(cluster.nodeLog(1).contains("sync"))
      try await load.waitForAcknowledged(200)
      try await load.stop()
      let verdict = try await cluster.verify(load.attempts)
      #expect(verdict.missing == [])
      #expect(verdict.appeared == [])
      try await cluster.waitForEqualNodes()
      Setup.say("a failed sync: code 14; \(verdict)")
      return cluster
    }
    #expect(try await cluster.logProblems() == [])
  }
}
