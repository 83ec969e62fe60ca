import Glibc
import LockstepReflection
import Testing

extension EndToEndTests {
  static let strace = ["/usr/bin/strace", "/bin/strace"].first { (path: String) in access(path, X_OK) == 0 }

  @Test(.enabled(if: geteuid() == 0, "mounting a small file system takes root"), .timeLimit(.minutes(3)))
  func `a full disk ends its node with exit code 15, the others go on, and with space it starts again`() async throws {
    let directory = try TemporaryDirectory()
    let small = directory.path + "/small"
    mkdir(small, 0o755)
    guard mount("tmpfs", small, "tmpfs", 0, "size=6m") == 0 else {
      Setup.say("NOT TESTED: root may not mount a file system here")
      return
    }
    defer { umount2(small, Int32(MNT_DETACH)) }
    // Node 2's data on the small disk, and small files in its log.
    let wrapper = directory.path + "/node"
    try Files.write(
      "#!/bin/sh\nexec '\(Setup.lockstep)' node \"$@\" --segment-bytes 1048576\n", to: wrapper, mode: 0o755)
    let data = directory.path + "/data"
    mkdir(data, 0o755)
    symlink(small, data + "/2")
    // A follower, so that its end is no reason for an election.
    try await Cluster.with(data, binary: wrapper, ["--leader", "1"]) { cluster in
      let value = String(repeating: "v", count: 100_000)
      var acknowledged: [String] = []
      try await wait(upTo: .seconds(60), "node 2 ends", every: .milliseconds(1)) {
        let key = "key-\(acknowledged.count)"
        let answer = try await cluster.put(key, value)
        if answer.isOK { acknowledged.append(key) } else { Issue.record("\(answer.text())") }
        return cluster.exits.contains { $0.node == 2 }
      }
      #expect(cluster.exits.allSatisfy { $0.node == 2 && $0.code == 15 }, "\(cluster.exits)")
      #expect(cluster.nodeLog(2).contains("space"))
      for number in 0..<5 {
        let answer = try await cluster.put("full-\(number)", "1")
        #expect(answer.isOK, "\(answer.text())")
      }
      // More room, as if somebody had cleared up.
      #expect(mount("tmpfs", small, "tmpfs", UInt(MS_REMOUNT), "size=200m") == 0)
      try await cluster.waitForEqualNodes()
      #expect(Set(cluster.exits.map(\.code)) == [15])
      for key in acknowledged { #expect(try await cluster.get(key)["reply"]?["value"]?.string == value) }
      Setup.say("disk full after \(acknowledged.count) writes: code 15, \(cluster.exits.count) times, then level again")
    }
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
