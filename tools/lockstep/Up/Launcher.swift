import Glibc
import Lockstep
import LockstepCommand
import LockstepRequests
import LockstepWire
import Synchronization

/// Runs a cluster's nodes as processes: starts them, starts them again, stops them. All state is changed by one loop
/// over events; threads and tasks only report.
final class Launcher {
  private enum Event: Sendable {
    case ended(node: Int)
    case startDue(node: Int)
    case leads(UInt64)
    case leaderIsLate
    case stop(signal: Int32?)
    case patienceEnds
    case lookAtLogs
  }

  private struct Node {
    var process: ChildProcess?
    var startedAt = ContinuousClock.now
    var wasStarted = false
    /// Where in its log this life's lines begin.
    var logOffset = 0
    /// Nil while it does not run: how it ended is told with the last lines.
    var errors: NodeErrors?
    var policy: RestartPolicy
  }

  private enum Phase {
    case starting
    /// A leader has served.
    case ready
    case stopping
  }

  /// A node that was told to stop is killed after this long.
  private static let patience = Duration.seconds(10)
  /// Without a leader for so long after the start, something is said.
  private static let leaderIsLateAfter = Duration.seconds(10)
  private static let looksAtLogsEvery = Duration.seconds(1)

  private let plan: LaunchPlan
  private let directory: ClusterDirectory
  private let emit: (LaunchEvent) -> Void
  private let events: AsyncStream<Event>
  private let report: AsyncStream<Event>.Continuation
  private var nodes: [Int: Node] = [:]
  private let running = RunningNodes()
  private var phase = Phase.starting
  private var watch: Task<Void, Never>?
  /// Set when the cluster is stopped because it cannot start.
  private var failure: CommandFailure?
  private var stopSignal: Int32?

  init(plan: LaunchPlan, directory: ClusterDirectory, restarts: Bool, emit: @escaping (LaunchEvent) -> Void) {
    self.plan = plan
    self.directory = directory
    self.emit = emit
    (events, report) = AsyncStream.makeStream()
    for node in 1...plan.nodes { nodes[node] = Node(policy: RestartPolicy(restarts: restarts)) }
  }

  /// Stops all nodes when it is called, on any thread, as a signal does.
  var stopper: @Sendable () -> Void {
    let report = report
    return { report.yield(.stop(signal: nil)) }
  }

  /// Returns when all nodes have stopped, after a signal asked for it, which is returned, or `stopper`.
  @discardableResult
  func run() async throws(CommandFailure) -> Int32? {
    let report = report
    let signals = await StopSignals.watch { report.yield(.stop(signal: $0)) }
    defer { signals.cancel() }
    for node in 1...plan.nodes { start(node) }
    watchForLeader()
    after(Self.leaderIsLateAfter, .leaderIsLate)
    after(Self.looksAtLogsEvery, .lookAtLogs)
    for await event in events {
      handle(event)
      if case .stopping = phase, nodes.values.allSatisfy({ $0.process == nil }) { break }
    }
    watch?.cancel()
    if let failure { throw failure }
    return stopSignal
  }

  private func handle(_ event: Event) {
    switch event {
    case .ended(let node): ended(node)
    case .startDue(let node):
      if case .stopping = phase { return }
      start(node)
    case .leads(let leader):
      guard case .starting = phase else { return }
      phase = .ready
      emit(.ready(leader: leader, endpoints: plan.endpoints))
    case .leaderIsLate:
      guard case .starting = phase else { return }
      Output.error(
        "lockstep: no leader yet after \(Self.leaderIsLateAfter.components.seconds) s; the nodes' logs are "
          + "\(directory.path)/node-*.log")
    case .stop(let signal):
      if case .stopping = phase {
        // Asked a second time: at once.
        if signal != nil { sendToAll(SIGKILL) }
      } else {
        if let signal { Output.error("lockstep: stopping (signal \(signal))") }
        stopSignal = signal
        stopAll()
      }
    case .patienceEnds:
      for (number, node) in nodes where node.process != nil {
        Output.error("lockstep: node \(number) did not stop within \(Self.patience.components.seconds) s and is killed")
      }
      sendToAll(SIGKILL)
    case .lookAtLogs:
      if case .stopping = phase { return }
      for number in 1...plan.nodes {
        for text in nodes[number]?.errors?.next() ?? [] { Output.error("lockstep: [\(number)] \(text)") }
      }
      after(Self.looksAtLogsEvery, .lookAtLogs)
    }
  }

  // MARK: Nodes

  private func start(_ number: Int) {
    guard var node = nodes[number] else { return }
    do {
      let (log, offset) = try directory.openLog(of: number)
      defer { close(log) }
      let arguments = plan.arguments(of: number, isFirstStart: !node.wasStarted)
      let process = try ChildProcess.start(plan.program, arguments: arguments, log: log)
      node.wasStarted = true
      (node.process, node.startedAt, node.logOffset) = (process, .now, offset)
      node.errors = NodeErrors(path: directory.log(of: number), from: offset)
      nodes[number] = node
      running.started(UInt64(number), at: node.startedAt)
      emit(.started(node: number, process: process.id, listen: plan.endpoint(of: number)))
      let report = report
      process.onExit { report.yield(.ended(node: number)) }
    } catch {
      // Like a node that ended at once: out of processes or disk, say, which may pass.
      node.startedAt = .now
      decide(number, &node, .code(NodeExitCode.failed.rawValue), "node \(number) cannot be started: \(error)")
      nodes[number] = node
      checkHope()
    }
  }

  private func ended(_ number: Int) {
    guard var node = nodes[number], let process = node.process else { return }
    let termination = process.reap()
    running.ended(UInt64(number))
    (node.process, node.errors) = (nil, nil)
    emit(.exited(node: number, process: process.id, termination))
    if case .stopping = phase {
      nodes[number] = node
      return
    }
    var message = "node \(number) (process \(process.id)) ended: \(termination)"
    if case .code(let code) = termination, let code = NodeExitCode(rawValue: code) { message += " (\(code.meaning))" }
    if termination != .code(0) {
      for line in directory.lastLines(of: number, from: node.logOffset) { message += "\n  [\(number)] \(line)" }
    }
    decide(number, &node, termination, message)
    nodes[number] = node
    checkHope()
  }

  private func decide(_ number: Int, _ node: inout Node, _ termination: Termination, _ message: String) {
    let life = node.startedAt.duration(to: .now)
    let next: String
    switch node.policy.ended(termination, after: life) {
    case .restart(let delay):
      next = "it is started again in \(delay)"
      after(delay, .startDue(node: number))
    case .giveUp: next = "another start would end the same way, so it stays down"
    case .leave: next = "it is not started again (--no-restart)"
    }
    Output.error("lockstep: \(message)\nlockstep: node \(number): \(next)")
  }

  /// A cluster whose nodes all fail from the start is not worth waiting for.
  private func checkHope() {
    let isHopeless: Bool
    switch phase {
    case .starting: isHopeless = nodes.values.allSatisfy { $0.policy.isHopeless }
    case .ready: isHopeless = nodes.values.allSatisfy { $0.policy.isOver }
    case .stopping: isHopeless = false
    }
    guard isHopeless else { return }
    failure = .failed("lockstep: no node is left that could run; the reasons are above")
    stopAll()
  }

  // MARK: Stopping

  private func stopAll() {
    phase = .stopping
    watch?.cancel()
    sendToAll(SIGTERM)
    after(Self.patience, .patienceEnds)
  }

  private func sendToAll(_ signal: Int32) {
    for node in nodes.values { node.process?.send(signal) }
  }

  // MARK: Waiting

  private func after(_ delay: Duration, _ event: Event) {
    let report = report
    Task {
      try? await Task.sleep(for: delay)
      report.yield(event)
    }
  }

  private func watchForLeader() {
    let (endpoints, preferred, report, running) = (plan.endpoints, plan.leader.map(UInt64.init), report, running)
    watch = Task {
      let survey = StatusSurvey(endpoints: endpoints, timeout: .milliseconds(500))
      var readiness = Readiness(nodes: endpoints.count, preferred: preferred)
      while !Task.isCancelled {
        let answers = await survey.ask()
        let nodes = zip(1..., answers).compactMap { id, answer in
          answer.status.flatMap { running.includes($0, as: id, now: .now) ? $0 : nil }
        }
        if let leader = readiness.observe(nodes, now: .now) {
          report.yield(.leads(leader))
          break
        }
        try? await Task.sleep(for: .milliseconds(20))
      }
      await survey.close()
    }
  }
}

/// Since when each node's process runs. An answer on a node's port need not be that node's: when another cluster holds
/// the port, the node is about to fail.
final class RunningNodes: Sendable {
  private let starts = Mutex<[UInt64: ContinuousClock.Instant]>([:])

  func started(_ node: UInt64, at time: ContinuousClock.Instant) { starts.withLock { $0[node] = time } }
  func ended(_ node: UInt64) { starts.withLock { $0[node] = nil } }

  /// Whether this can be the word of the process that runs as that node: nobody is up for longer than since his start.
  func includes(_ status: NodeReport, as node: UInt64, now: ContinuousClock.Instant) -> Bool {
    guard status.node == node, let start = starts.withLock({ $0[node] }) else { return false }
    return .milliseconds(status.uptimeMilliseconds) <= start.duration(to: now)
  }
}
