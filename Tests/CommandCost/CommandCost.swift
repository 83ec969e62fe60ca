import ArgumentParser
import LockstepConsensus
import LockstepServices

/// What a command costs in instructions or in time, apart from sockets and disks: `tools/instructions` runs this under
/// callgrind, whose counts do not depend on what else the machine does.
@main
struct CommandCost: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "command-cost",
    abstract: "Carry commands through three nodes in one thread, whose links and disks are memory.")

  @Option(help: "Commands in all.")
  var commands = 20_000

  @Option(help: "Commands that a turn of the leader takes in.")
  var batch = 64

  @Option(help: "Bytes of a value.")
  var valueSize = 256

  @Option(help: "Different keys.")
  var keys = 10_000

  @Flag(help: "Linearizable reads instead of commands.")
  var reads = false

  @Flag(help: "Clients call a follower, which passes their calls on.")
  var atFollower = false

  func run() throws {
    let cluster = try CostCluster(valueBytes: valueSize, keys: keys, atFollower: atFollower)
    try cluster.elect()
    // Keys that are there, and buffers that have grown: what is counted after this is the rule.
    let clock = ContinuousClock()
    var done = 0
    let start = clock.now
    while done < commands {
      try cluster.round(min(batch, commands - done), reads: reads)
      done += batch
    }
    let time = (clock.now - start) / max(commands, 1)
    guard cluster.answered == commands, cluster.failed == 0 else {
      throw ValidationError(
        "\(cluster.answered) of \(commands) calls were answered, \(cluster.failed) of them with a failure")
    }
    try cluster.comeToRest()
    let digests = cluster.digests
    guard Set(digests).count == 1 else { throw ValidationError("the nodes differ: \(digests)") }
    print(
      "\(commands) calls, \(batch) a turn: \(time.components.attoseconds / 1_000_000_000) ns each, all nodes together")
  }
}
