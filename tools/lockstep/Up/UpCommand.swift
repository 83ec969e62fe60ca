import ArgumentParser
import Glibc
import Lockstep
import LockstepCommand

struct UpCommand: AsyncParsableCommand {
  static let supportedNodes = 1...64

  static let configuration = CommandConfiguration(
    commandName: "up",
    abstract: "Run a local cluster: real processes, supervised, in the foreground.",
    discussion: """
      Node i serves clients on 127.0.0.1:(base+i) and peers on 127.0.0.1:(base+100+i), keeps its data in DIR/i and its \
      log in DIR/node-i.log. Started again on the same directory, the cluster goes on where it stopped.

      When a leader serves, stdout gets one line:
        READY leader=1 endpoints=127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403
      With --json it gets an object a line, for each event:
        {"event":"started","node":1,"pid":4711,"listen":"127.0.0.1:7401"}
        {"event":"ready","leader":1,"endpoints":["127.0.0.1:7401",...]}
        {"event":"exited","node":1,"pid":4711,"code":null,"signal":9}

      A node that ends is started again after 100 ms, doubling up to 5 s and back to 100 ms after 10 s of life, unless \
      its exit code says that this would not help. Ctrl-C or SIGTERM stops all nodes and exits with 0; a node that takes \
      longer than 10 s is killed, and so are all when asked twice. The nodes stop too when the launcher is killed. When \
      no node can run, the exit code is 1. What a node logs as an error, that others refuse it for one, is repeated on \
      stderr.
      """)

  @Option(help: "How many nodes. (default: as many as the directory's cluster has, else 3)")
  var nodes: Int?

  @Option(help: ArgumentHelp("Where the data lies. (default: ./lockstep-data)", valueName: "dir"))
  var dir: String?

  @Option(help: ArgumentHelp("The node that leads when it can.", valueName: "id"))
  var leader: Int?

  @Option(help: ArgumentHelp("The ports are counted from here.", valueName: "port"))
  var basePort = 7400

  @Option(
    help: ArgumentHelp(
      "A node program of yours, run with the flags of 'lockstep node'. (default: this program, as 'lockstep node')",
      valueName: "path"))
  var binary: String?

  @Option(help: "What the nodes serve: sql, which is replicated SQLite. (default: the services in memory)")
  var service: HostedService?

  @Option(help: ArgumentHelp("Handed on to the nodes.", valueName: "bytes"))
  var snapshotLogBytes: String?

  @Option(help: ArgumentHelp("Handed on to the nodes.", valueName: "duration"))
  var snapshotAge: String?

  @Option(help: ArgumentHelp("Handed on to the nodes.", valueName: "bytes"))
  var retain: String?

  @Option(help: ArgumentHelp("Handed on to the nodes, each for its own directory.", valueName: "bytes"))
  var diskBudget: String?

  @Option(help: ArgumentHelp("Handed on to the nodes.", valueName: "bytes"))
  var snapshotRate: String?

  @Option(help: ArgumentHelp("Handed on to the nodes.", valueName: "bytes"))
  var changeWindow: String?

  @Option(help: ArgumentHelp("Handed on to the nodes.", valueName: "bytes"))
  var maximumRequestBytes: String?

  @Option(help: ArgumentHelp("Handed on to the nodes.", valueName: "bytes"))
  var segmentBytes: String?

  @Option(help: ArgumentHelp("Handed on to the nodes.", valueName: "level"))
  var minimumAck: String?

  @Flag(help: "Handed on to the nodes.")
  var noForward = false

  @Option(help: ArgumentHelp("Handed on to the nodes.", valueName: "percent"))
  var leaseDrift: String?

  @Option(help: ArgumentHelp("Handed on to the nodes.", valueName: "level"))
  var logLevel: String?

  @Option(
    help: ArgumentHelp(
      "An option of 'lockstep node' for one of them alone, as in 2:--retain=1GiB; may be repeated.",
      valueName: "id:--flag=value"))
  var nodeOption: [NodeOption] = []

  @Flag(help: "Keep the data in a temporary directory, which is removed at the end.")
  var ephemeral = false

  @Flag(help: "The directory is a copy, as one is that was moved to another disk; for the first start of each node.")
  var movedDirectory = false

  @Option(
    help: ArgumentHelp(
      "This node begins with an empty directory, in place of one that is lost for good; may be repeated.",
      valueName: "id"))
  var replaceDisk: [Int] = []

  @Flag(help: "Leave a node that ends where it is.")
  var noRestart = false

  @Flag(help: "Print events as JSON, one a line.")
  var json = false

  func validate() throws {
    if ephemeral, dir != nil { throw ValidationError("--ephemeral chooses its own directory; leave out --dir.") }
    if service != nil, binary != nil {
      throw ValidationError("--binary says by itself what it serves; leave out --service.")
    }
    if dir == "" { throw ValidationError("--dir has no name.") }
    guard let nodes else { return }
    guard Self.supportedNodes.contains(nodes) else {
      throw ValidationError("--nodes \(nodes) is not between 1 and \(Self.supportedNodes.upperBound).")
    }
  }

  func run() async throws {
    // A reader of the events who is gone, as in `lockstep up | head -1`, is an error of the write, and no end.
    signal(SIGPIPE, SIG_IGN)
    let program = try binary.map(Self.checkedProgram) ?? Self.ownProgram()
    let directory =
      ephemeral
      ? try ClusterDirectory.temporary(nodes: nodes, check: check)
      : try ClusterDirectory(path: dir ?? "lockstep-data", nodes: nodes, check: check)
    let launcher = launcher(program, directory)
    let count = directory.nodes == 1 ? "1 node" : "\(directory.nodes) nodes"
    Output.error("lockstep: \(count), data and logs (node-*.log) in \(directory.path)")
    do {
      try await launcher.run()
    } catch {
      if ephemeral { try directory.remove() }
      throw error
    }
    if ephemeral { try directory.remove() }
  }

  func check(nodes: Int) throws(CommandFailure) {
    if let problem = LaunchPlan.portProblem(basePort: basePort, nodes: nodes) { throw .usage(problem) }
    if let leader, !(1...nodes).contains(leader) {
      throw .usage("--leader \(leader) is none of the nodes 1 to \(nodes)")
    }
    if let node = replaceDisk.first(where: { !(1...nodes).contains($0) }) {
      throw .usage("--replace-disk \(node) is none of the nodes 1 to \(nodes)")
    }
    if let problem = Self.problem(replacing: replaceDisk, of: nodes) { throw .usage(problem) }
    // What its nodes would refuse, each in its log, is said here, before there are any.
    if let problem = nodeOption.lazy.compactMap({ $0.problem(nodes: nodes) }).first { throw .usage(problem) }
    let plan = plan(nodes, program: "", directory: ".", cluster: "")
    do {
      for node in 1...nodes {
        var flags = plan.flags(of: node)
        _ = try HostedService.take(from: &flags)
        _ = try NodeOptions.parse(flags).configuration()
      }
    } catch let failure as NodeOptions.ValidationFailure {
      throw .usage(failure.message)
    } catch { throw .usage(NodeOptions.message(for: error)) }
  }

  static func problem(replacing disks: [Int], of nodes: Int) -> String? {
    let replaced = Set(disks).count
    guard replaced > 0, nodes - replaced < nodes / 2 + 1 else { return nil }
    return
      "--replace-disk for \(replaced) of \(nodes) nodes: without the disks of a majority no leader can be elected, and "
      + "what was committed may be lost; put back a directory that a node had before"
  }

  private func plan(_ nodes: Int, program: String, directory: String, cluster: String) -> LaunchPlan {
    LaunchPlan(
      nodes: nodes, basePort: basePort, program: program, isOwnProgram: binary == nil, directory: directory,
      cluster: cluster, leader: leader, isDirectoryMoved: movedDirectory, replacedDisks: replaceDisk,
      nodeFlags: [
        service.map { "--service=\($0.rawValue)" }, snapshotLogBytes.map { "--snapshot-log-bytes=\($0)" },
        snapshotAge.map { "--snapshot-age=\($0)" },
        retain.map { "--retain=\($0)" }, diskBudget.map { "--disk-budget=\($0)" },
        snapshotRate.map { "--snapshot-rate=\($0)" },
        changeWindow.map { "--change-window=\($0)" },
        maximumRequestBytes.map { "--maximum-request-bytes=\($0)" }, segmentBytes.map { "--segment-bytes=\($0)" },
        minimumAck.map { "--minimum-ack=\($0)" }, noForward ? "--no-forward" : nil,
        leaseDrift.map { "--lease-drift=\($0)" }, logLevel.map { "--log-level=\($0)" },
      ].compactMap { $0 }, ownFlags: nodeOption)
  }

  private func launcher(_ program: String, _ directory: ClusterDirectory) -> Launcher {
    let plan = plan(directory.nodes, program: program, directory: directory.path, cluster: directory.name)
    let json = json
    return Launcher(plan: plan, directory: directory, restarts: !noRestart) { event in
      // When nobody reads the events any more, the cluster runs on.
      if json { Output.line(event.json) } else if let text = event.text { Output.line(text) }
    }
  }

  static func ownProgram() throws(CommandFailure) -> String {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &path, path.count)
    guard count > 0, count < path.count else {
      throw .failed("this program cannot find its own file (/proc/self/exe): \(systemMessage(errno))")
    }
    return String(decoding: path[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func checkedProgram(_ path: String) throws(CommandFailure) -> String {
    var information = stat()
    guard stat(path, &information) == 0 else { throw .usage("--binary '\(path)': \(systemMessage(errno))") }
    guard information.st_mode & S_IFMT == S_IFREG, access(path, X_OK) == 0 else {
      throw .usage("--binary '\(path)' is not a program that may be run")
    }
    return path
  }
}
