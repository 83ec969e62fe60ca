import ArgumentParser
import Glibc
import Lockstep
import NIOCore
import NIOPosix

extension Load.Operation: ExpressibleByArgument {}
extension BenchTarget.Choice: ExpressibleByArgument {}

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Put a load on a cluster, and measure.",
    discussion: """
      Without --endpoints and \(ClusterOptions.variable), a cluster of --nodes real processes is started on free ports, with \
      node 1 as leader and its data in a temporary directory (in TMPDIR, else /tmp), and removed at the end, also after \
      Ctrl-C. With --nodes this is done even when the variable is set. Otherwise the load goes to the cluster that is \
      named, which has to offer lockstep.kv.v1.KeyValue; a put overwrites its keys 0000000000, 0000000001, ... An \
      insert goes to lockstep.sql.v1.Sql, into the table bench(k INTEGER PRIMARY KEY, v TEXT), which is made if there is \
      none: a row of a new key.

      Closed loop: each client has --depth calls under way on its connection, and sends the next when one is answered. \
      Open loop, with --rate: calls are sent on schedule, whether or not those before are answered, and a call's time is \
      counted from when it was due, not from when it could be sent (no coordinated omission). Beyond 10,000 a second they \
      are due in batches, every 100 µs. At most \(Load.openLoopLimit) are under way on all connections together, or --depth on \
      each; what is due meanwhile is sent later. Of either loop, a call that is not answered a second after the end is counted with the \
      time that it has waited by then, and named.

      With --batch each call carries so many commands, in one message. Commands are counted, and errors of commands; times \
      are those of whole calls.

      Commands go to the leader; for reads the clients are spread over all endpoints, as any node serves them; --target \
      says otherwise. A refusal of the level that is asked for ends the command with exit code 1.

      A client whose node is gone goes on at the next endpoint, and with --target leader wherever an answer says that the \
      leader is. A call that a node refuses with UNAVAILABLE, and that was certainly not carried out, is sent again until \
      --timeout, and its time is counted from its beginning.

      GAP is the longest time without any success. When nothing succeeds for 100 ms or more, and 20 times as long as a quick \
      call takes, this is said as an outage, and a closed loop counts also the calls that it would have made meanwhile, each with \
      its wait for the end ("missed" in JSON; "answered" has the times without them).

      Exit code 0: every call of the measured time succeeded. 1: some failed or were not answered, or nothing could be \
      measured. 2: bad usage.

      Times are those of calls that succeeded; what failed is counted by its code. A line a second goes to stderr, unless \
      --json or --quiet is given.

      With --explain every node is asked what it has counted when the measured time begins and when it ends. The table \
      says how long a command was in each stage; a node that does not answer is unknown.

      Examples:
        lockstep bench
        lockstep bench --explain
        lockstep bench --op get --read any --clients 8 --depth 64
        lockstep bench --clients 8 --depth 8 --batch 64 --value-size 16
        lockstep bench --rate 20000 --endpoints 127.0.0.1:7401,127.0.0.1:7402
      """)

  @Option(help: "Nodes of a cluster that is started for this. (default: 3)")
  var nodes: Int?

  @Option(
    help: ArgumentHelp(
      "Nodes of a cluster that runs. (default: $\(ClusterOptions.variable), else one is started)",
      valueName: "host:port,..."))
  var endpoints: EndpointList?

  @Option(help: "put, get, or insert, which is of SQL.")
  var op: Load.Operation = .put

  @Option(help: "Connections, spread over the nodes that get the load.")
  var clients = 64

  @Option(help: "Calls under way on each connection; with --rate at most. (default: 1, with --rate what a node takes)")
  var depth: Int?

  @Option(help: "Commands in each call, for put and insert: they go in one message, and are answered in one.")
  var batch = 1

  @Option(help: "An open loop with so many calls a second in all.")
  var rate: Int?

  @Option(help: "Bytes of a value.")
  var valueSize = 256

  @Option(help: "Different keys of put and get, used at random.")
  var keys = 100_000

  @Option(help: "How long is measured, in seconds.")
  var seconds = 10

  @Option(help: "How long the load runs before that, in seconds.")
  var warmup = 2

  @Option(
    help: ArgumentHelp("Of a put: as for 'lockstep call'. (default: quorum)", valueName: "level"),
    completion: .list(AckText.levels), transform: AckText.parse)
  var ack: Acknowledgement?

  @Option(
    help: ArgumentHelp("Of a get: as for 'lockstep call'. (default: linearizable)", valueName: "level"),
    transform: ReadLevelText.parse)
  var read: Consistency?

  @Option(
    help: ArgumentHelp("After this long a call fails: 250ms, 5s, 2m. (default: 5s)", valueName: "duration"),
    transform: TimeoutText.required)
  var timeout: Duration = .seconds(5)

  @Option(help: "Where the clients connect: leader, or spread over all. (default: all for get, else leader)")
  var target: BenchTarget.Choice?

  @Flag(help: "Each client makes its commands in a session of its own: each is carried out once.")
  var sessions = false

  @Flag(help: "Write every key once before --op get. Always done in a cluster that is started for this.")
  var fill = false

  @Flag(help: "Say where a command's time goes, on each node.")
  var explain = false

  @Flag(help: "No line a second.")
  var quiet = false

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    for (name, value, range) in [
      ("nodes", nodes ?? 3, UpCommand.supportedNodes), ("clients", clients, 1...4096), ("depth", depth ?? 1, 1...8192),
      ("rate", rate ?? 1, OpenLoopSchedule.rates), ("value-size", valueSize, 0...1_000_000),
      ("keys", keys, 1...1_000_000_000), ("seconds", seconds, 1...86_400), ("warmup", warmup, 0...3600),
      ("batch", batch, 1...4096),
    ] where !range.contains(value) {
      throw ValidationError("--\(name) is \(value), must be from \(range.lowerBound) to \(range.upperBound)")
    }
    if batch > 1, !op.isCommand { throw ValidationError("--batch is of commands, and --op get makes none") }
    if batch > 1, rate != nil {
      throw ValidationError("--batch is of a closed loop, and --rate makes an open one; leave out one")
    }
    if nodes != nil, endpoints != nil {
      throw ValidationError("--nodes starts a cluster, and --endpoints names one that runs; leave out one")
    }
    if rate != nil, let depth, depth > max(1, Load.openLoopLimit / clients) {
      throw ValidationError(
        "--depth \(depth) with \(clients) clients are more calls under way than the \(Load.openLoopLimit) that a node takes"
      )
    }
    if op == .get, ack != nil { throw ValidationError("--ack is of commands, and --op get makes none") }
    if sessions, !op.isCommand { throw ValidationError("--sessions is of commands, and --op get makes none") }
    if sessions, batch * (depth ?? 1) > 1024 || rate != nil && depth == nil {
      throw ValidationError(
        "--sessions: at most 1,024 commands may be under way in each; say so with --depth and --batch")
    }
    if op == .get, explain { throw ValidationError("--explain is of commands, and --op get makes none") }
    if op.isCommand, fill { throw ValidationError("--fill is for --op get; --op \(op.rawValue) writes by itself") }
    if op.isCommand, read != nil {
      throw ValidationError("--read is of queries, and --op \(op.rawValue) makes none")
    }
  }

  /// The cluster that is to get the load; nil: one has to be started.
  func named(environment: String? = getenv(ClusterOptions.variable).map { String(cString: $0) }) throws -> [Endpoint]? {
    if let endpoints { return endpoints.list }
    return nodes == nil ? try ClusterOptions.named(by: environment) : nil
  }

  var load: Load {
    Load(
      operation: op, clients: clients, pace: rate.map { .open(rate: $0, depth: depth) } ?? .closed(depth: depth ?? 1),
      extent: .time(warmup: warmup, seconds: seconds), valueBytes: valueSize, keys: keys,
      options: CallOptions(acknowledgement: ack ?? .quorum, consistency: read ?? .linearizable, timeout: timeout),
      batch: batch)
  }

  func run() async throws {
    let run = BenchRun(
      load: load, warmup: warmup, target: target ?? (op.isCommand ? .leader : .all), fills: fill,
      isQuiet: quiet || json, explains: explain, opensSessions: sessions)
    let report: BenchReport
    if let endpoints = try named() {
      report = try await run.on(endpoints, nil)
    } else {
      report = try await OwnCluster.with(nodes: nodes ?? 3, nodeFlags: op == .insert ? ["--service", "sql"] : []) {
        try await run.on($0.endpoints, $0)
      }
    }
    if json { Output.line(report.json) } else { Output.write(report.text) }
    let result = report.result
    if let error = result.firstError {
      Output.error("\(result.errorCount) errors while it was measured; the first of all: \(error)")
    }
    if result.succeeded == 0 { throw CommandFailure.failed("no call succeeded") }
    // The report has said what they were.
    if result.errorCount > 0 || result.unanswered > 0 {
      throw CommandFailure.failed("not every call of the measured time succeeded")
    }
  }
}
