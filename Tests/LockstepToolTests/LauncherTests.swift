import Glibc
import Lockstep
import LockstepCommand
import LockstepConsensus
import LockstepReflection
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepTool

@Suite("restarts")
struct RestartPolicyTests {
  @Test("delays double from 100 ms to 5 s")
  func doubling() {
    var policy = RestartPolicy(restarts: true)
    let delays = (0..<9).map { _ in policy.ended(.signal(9), after: .seconds(1)) }
    let expected = [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]
    #expect(delays == expected.map { .restart(after: .milliseconds($0)) })
  }

  @Test("ten seconds of life make the next end the first one")
  func reset() {
    var policy = RestartPolicy(restarts: true)
    for _ in 0..<5 { _ = policy.ended(.signal(9), after: .zero) }
    #expect(policy.isHopeless)
    #expect(policy.ended(.signal(9), after: .seconds(10)) == .restart(after: .milliseconds(100)))
    #expect(!policy.isHopeless)
  }

  @Test("an exit code that says so ends it", arguments: [NodeExitCode.usage, .identity, .damaged, .diverged])
  func hopeless(code: NodeExitCode) {
    var policy = RestartPolicy(restarts: true)
    #expect(policy.ended(.code(code.rawValue), after: .seconds(60)) == .giveUp(code))
    #expect(policy.isOver)
  }

  @Test("codes of nobody's, and a clean end that nobody asked for, are restarted", arguments: [0, 1, 10, 77, 139])
  func others(code: Int32) {
    var policy = RestartPolicy(restarts: true)
    #expect(policy.ended(.code(code), after: .zero) == .restart(after: .milliseconds(100)))
  }

  @Test("--no-restart leaves it down")
  func noRestart() {
    var policy = RestartPolicy(restarts: false)
    #expect(policy.ended(.signal(9), after: .zero) == .leave)
    #expect(policy.isOver)
  }
}

@Suite("READY")
struct ReadinessTests {
  private func node(
    _ id: UInt64, _ role: String, leader: UInt64? = nil, term: UInt64 = 1, last: UInt64 = 1, commit: UInt64 = 1,
    applied: UInt64 = 1
  ) -> NodeReport {
    var (status, group) = (NodeReport(), GroupReport())
    (group.role, group.term, group.lastIndex) = (RoleKind(rawValue: role), term, last)
    (group.commitIndex, group.appliedIndex) = (commit, applied)
    group.leader = leader ?? (role == "leader" ? id : 0)
    (status.node, status.groups) = (id, [group])
    return status
  }

  private let start = ContinuousClock.now

  @Test("not without a leader")
  func noLeader() {
    var readiness = Readiness(nodes: 1, preferred: nil)
    #expect(readiness.observe([], now: start) == nil)
    #expect(readiness.observe([node(1, "candidate"), node(2, "follower")], now: start) == nil)
  }

  @Test("not before the leader has committed and applied an entry of its own term")
  func ownTerm() {
    var readiness = Readiness(nodes: 1, preferred: nil)
    #expect(readiness.observe([node(1, "leader", last: 8, commit: 7, applied: 7)], now: start) == nil)
    // More came in meanwhile: what counts is the entry that its term began with.
    #expect(readiness.observe([node(1, "leader", last: 20, commit: 8, applied: 7)], now: start) == nil)
    #expect(readiness.observe([node(1, "leader", last: 30, commit: 9, applied: 8)], now: start) == 1)
  }

  @Test("a new leader starts anew")
  func newLeader() {
    var readiness = Readiness(nodes: 1, preferred: nil)
    #expect(readiness.observe([node(1, "leader", last: 8, commit: 7)], now: start) == nil)
    let both = [node(1, "leader", last: 8, commit: 8, applied: 8), node(2, "leader", term: 2, last: 9, commit: 8)]
    #expect(readiness.observe(both, now: start) == nil)
    #expect(readiness.observe([node(2, "leader", term: 2, last: 9, commit: 9, applied: 9)], now: start) == 2)
  }

  @Test("the node of --leader is waited for, but not for ever")
  func preferred() {
    var readiness = Readiness(nodes: 1, preferred: 2)
    let other = [node(1, "leader")]
    #expect(readiness.observe(other, now: start) == nil)
    #expect(readiness.observe(other, now: start + .seconds(4)) == nil)
    #expect(readiness.observe(other, now: start + .seconds(5)) == 1)
    var second = Readiness(nodes: 1, preferred: 2)
    #expect(second.observe([node(2, "leader")], now: start) == 2)
  }

  @Test("all nodes are to follow, but are not waited for for ever")
  func followers() {
    var readiness = Readiness(nodes: 3, preferred: nil)
    let two = [node(1, "leader"), node(2, "follower", leader: 1)]
    #expect(readiness.observe(two, now: start) == nil)
    #expect(readiness.observe(two + [node(3, "follower", leader: 2)], now: start) == nil)
    var other = readiness
    #expect(readiness.observe(two + [node(3, "follower", leader: 1)], now: start) == 1)
    #expect(other.observe(two, now: start + .seconds(4)) == nil)
    #expect(other.observe(two, now: start + .seconds(5)) == 1)
  }

  @Test("an answer counts only when it can be that of the process that was started")
  func running() {
    let nodes = RunningNodes()
    var status = node(1, "leader")
    status.uptimeMilliseconds = 900
    #expect(!nodes.includes(status, as: 1, now: start))
    nodes.started(1, at: start)
    #expect(nodes.includes(status, as: 1, now: start + .seconds(1)))
    #expect(!nodes.includes(status, as: 2, now: start + .seconds(1)))
    #expect(!nodes.includes(status, as: 1, now: start + .milliseconds(500)))
    nodes.ended(1)
    #expect(!nodes.includes(status, as: 1, now: start + .seconds(1)))
  }
}

@Suite("what up says of its nodes")
struct NodeErrorTests {
  @Test("lines of level error are told, each once and whole; others are not")
  func lines() throws {
    let directory = try ClusterDirectory.temporary(nodes: 1)
    defer { try? directory.remove() }
    let (file, offset) = try directory.openLog(of: 1)
    defer { close(file) }
    var errors = NodeErrors(path: directory.log(of: 1), from: offset)
    let (head, tail) = ("2026-11-28T11:44:25+0000", "lockstep: node=1 [Lockstep]")
    _ = Output.write("\(head) warning \(tail) no connection\nerror, and no line of a log\n", to: file)
    #expect(errors.next() == [])
    _ = Output.write("\(head) error \(tail) node 2 refuses this node: a [b] c\n\(head) crit", to: file)
    #expect(errors.next() == ["node 2 refuses this node: a [b] c"])
    #expect(errors.next() == [])
    _ = Output.write("ical \(tail) it is over\n", to: file)
    #expect(errors.next() == ["it is over"])
    let long = String(repeating: "x", count: 100_000)
    _ = Output.write("\(head) error x: [y] lost\n\(long)\n\(head) error x: [y] kept\n", to: file)
    #expect(errors.next() == ["kept"])
  }
}

@Suite("command lines of nodes")
struct LaunchPlanTests {
  private func plan(isOwnProgram: Bool = true, leader: Int? = nil) -> LaunchPlan {
    LaunchPlan(
      nodes: 2, basePort: 7400, program: "/p", isOwnProgram: isOwnProgram, directory: "d", cluster: "c",
      leader: leader)
  }

  private let flags = [
    "--id", "2", "--dir", "d/2", "--listen", "127.0.0.1:7402", "--peer-listen", "127.0.0.1:7502", "--members",
    "1=127.0.0.1:7501,2=127.0.0.1:7502",
  ]

  @Test("ports that do not exist are refused, however large the number")
  func absurdPorts() {
    for port in [0, -1, .min, 65_434, .max] {
      #expect(LaunchPlan.portProblem(basePort: port, nodes: 3)?.hasPrefix("--base-port \(port) with 3 nodes") == true)
    }
    #expect(LaunchPlan.portProblem(basePort: 65_432, nodes: 3) == nil)
  }

  @Test("this program is told to be a node")
  func own() throws {
    #expect(plan().arguments(of: 2) == ["node"] + flags + ["--cluster", "c", "--stop-on-stdin-close"])
    var moved = plan()
    moved.isDirectoryMoved = true
    #expect(moved.arguments(of: 2, isFirstStart: true).contains("--moved-directory"))
    #expect(moved.arguments(of: 2) == plan().arguments(of: 2))
    var own = plan()
    own.nodeFlags = ["--retain=1MiB", "--snapshot-age=1h"]
    own.ownFlags = [try #require(NodeOption(argument: "2:--retain=1GiB"))]
    let (first, second) = (own.arguments(of: 1), own.arguments(of: 2))
    #expect(first.contains("--retain=1MiB") && !first.contains("--retain=1GiB"))
    #expect(!second.contains("--retain=1MiB") && second.contains("--retain=1GiB"))
    #expect(second.contains("--snapshot-age=1h") && own.ownFlags[0].problem(nodes: 3) == nil)
    for wrong in ["--retain=1", "x:--retain=1", "2:retain", "2:--", "2"] { #expect(NodeOption(argument: wrong) == nil) }
    let unfit = ["4:--retain=1", "0:--retain=1", "2:--dir=x", "1:--service=sql"]
    for option in unfit { #expect(NodeOption(argument: option)?.problem(nodes: 3) != nil, "\(option)") }
    var replaced = plan()
    replaced.replacedDisks = [2]
    #expect(replaced.arguments(of: 2).contains("--replace-disk"))
    #expect(replaced.arguments(of: 1) == plan().arguments(of: 1))
  }

  @Test("not so many disks are replaced at once that no majority is left", arguments: [1, 2, 3, 4, 5])
  func replacedDisks(nodes: Int) {
    #expect(UpCommand.problem(replacing: [], of: nodes) == nil)
    for replaced in 1...nodes {
      let problem = UpCommand.problem(replacing: [1] + Array(1...replaced), of: nodes)
      #expect((problem == nil) == (nodes - replaced > nodes / 2), "\(replaced) of \(nodes)")
    }
  }

  @Test("a user's program gets the flags alone")
  func users() {
    #expect(
      plan(isOwnProgram: false, leader: 1).arguments(of: 2)
        == flags + ["--leader", "1", "--cluster", "c", "--stop-on-stdin-close"])
  }

  @Test("ports beyond the last one are refused")
  func ports() {
    #expect(LaunchPlan.portProblem(basePort: 7400, nodes: 3) == nil)
    #expect(LaunchPlan.portProblem(basePort: 65_432, nodes: 3) == nil)
    #expect(LaunchPlan.portProblem(basePort: 65_433, nodes: 3) != nil)
    #expect(LaunchPlan.portProblem(basePort: 0, nodes: 3) != nil)
  }
}

@Suite("events of up")
struct LaunchEventTests {
  @Test("ready, for a shell and as JSON")
  func ready() {
    let event = LaunchEvent.ready(
      leader: 1, endpoints: [Endpoint(host: "127.0.0.1", port: 7401), Endpoint(host: "127.0.0.1", port: 7402)])
    #expect(event.text == "READY leader=1 endpoints=127.0.0.1:7401,127.0.0.1:7402")
    #expect(event.json.text() == #"{"event":"ready","leader":1,"endpoints":["127.0.0.1:7401","127.0.0.1:7402"]}"#)
  }

  @Test("started and exited are for JSON only")
  func others() {
    let started = LaunchEvent.started(node: 1, process: 4711, listen: Endpoint(host: "127.0.0.1", port: 7401))
    #expect(started.text == nil)
    #expect(started.json.text() == #"{"event":"started","node":1,"pid":4711,"listen":"127.0.0.1:7401"}"#)
    #expect(
      LaunchEvent.exited(node: 1, process: 4711, .code(13)).json.text()
        == #"{"event":"exited","node":1,"pid":4711,"code":13,"signal":null}"#)
    #expect(
      LaunchEvent.exited(node: 1, process: 4711, .signal(9)).json.text()
        == #"{"event":"exited","node":1,"pid":4711,"code":null,"signal":9}"#)
  }
}
