import Glibc
import LockstepReflection
import Synchronization
import Testing

extension EndToEndTests {
  @Test(.timeLimit(.minutes(5)))
  func `a watch from index 0 tells each change once, in order, over kill -9 of the leader and snapshots`() async throws
  {
    let rounds = Setup.rounds(quick: 3, full: 20)
    let directory = try TemporaryDirectory()
    let flags = [
      "--change-window", "256MiB", "--snapshot-log-bytes", "1MiB", "--segment-bytes", "1MiB", "--retain", "0",
    ]
    try await Cluster.with(directory.path, flags) { cluster in
      let watch = try Program(
        Setup.lockstep,
        ["watch", "lockstep.kv.v1.KeyValue/Watch", #"{"prefix":"k","from":0}"#, "--endpoints", cluster.endpoints()])
      var written = 0
      for round in 0..<rounds {
        let lines = (0..<2000).map { number in
          #"{"method":"lockstep.kv.v1.KeyValue/Put","request":{"key":"k\#(written + number)","value":"\#(round)"}}"#
        }
        // One at a time, so that the order is known; those under way at a kill are made again, which is another change.
        let leader = try await cluster.leader()
        async let calls = Finished.run(
          ["call", "-", "--concurrency", "64", "--endpoints", cluster.endpoints()], input: lines, limit: .seconds(60))
        try await wait(upTo: .seconds(20), "the watch tells of this round's first") { watch.lines.count > written / 2 }
        kill(try cluster.pid(of: leader), SIGKILL)
        _ = try await calls
        written += lines.count
        try await wait(upTo: .seconds(30), "all nodes run, and one leads") {
          cluster.runningNodes.count == 3
        }
        _ = try await cluster.leader()
      }
      let all = try await Finished.run(
        ["call", "lockstep.kv.v1.KeyValue/Put", #"{"key":"kend","value":"end"}"#, "--endpoints", cluster.endpoints()],
        limit: .seconds(20))
      #expect(all.code == 0)
      try await wait(upTo: .seconds(30), "the watch tells of the last") { watch.lines.last?.contains("kend") ?? false }
      watch.send(SIGTERM)
      let revisions = try watch.lines.map { line in
        try Int(JSONValue(parsing: line)["revision"]?.string ?? "") ?? 0
      }
      #expect(zip(revisions, revisions.dropFirst()).allSatisfy { $0 < $1 })
      // As a second one tells it that was never cut.
      let again = try await Finished.run(
        [
          "watch", "lockstep.kv.v1.KeyValue/Watch", #"{"prefix":"k","from":0}"#, "--count", "\(watch.lines.count)",
          "--endpoints", cluster.endpoints(),
        ], limit: .seconds(30))
      #expect(again.lines == watch.lines)
    }
  }
}
