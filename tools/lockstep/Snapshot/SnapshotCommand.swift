import ArgumentParser
import Lockstep
import LockstepReflection
import LockstepRequests

struct SnapshotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshot",
    abstract: "Have a node write down its state, or look at a snapshot file.",
    subcommands: [SnapshotTake.self, SnapshotInspect.self],
    defaultSubcommand: SnapshotTake.self)
}

struct SnapshotTake: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "take",
    abstract: "Have one node write down its state now, and wait until that is durable. (default)",
    discussion: """
      The node goes on working meanwhile. Nodes take snapshots by themselves, see --snapshot-log-bytes and --snapshot-age \
      of 'lockstep node'. With --json: {"node":1,"index":1200,"term":2,"bytes":81920,"seconds":0.012}
      """)

  @Option(help: ArgumentHelp("Which node. (default: the first endpoint that answers)", valueName: "id"))
  var node: UInt64?

  @Flag(help: "Print one JSON object.")
  var json = false

  @Option(
    help: ArgumentHelp("Give up waiting after this long.", valueName: "duration"), transform: TimeoutText.required)
  var timeout: Duration = .seconds(600)

  @OptionGroup var cluster: ClusterOptions

  func run() async throws {
    var endpoints = try cluster.resolved()
    if let node { endpoints = [try await Self.endpoint(of: node, endpoints)] }
    let client = LockstepClient(endpoints: endpoints)
    do throws(CallFailure) {
      let done = try await client.takeSnapshot(timeout: timeout)
      let seconds = Double(done.nanoseconds) / 1e9
      if json {
        Output.line(
          .object([
            "node": .init(done.node), "index": .init(done.snapshot.index), "term": .init(done.snapshot.term),
            "bytes": .init(done.snapshot.bytes), "seconds": .init(seconds),
          ]))
      } else {
        let time = done.nanoseconds == 0 ? "it was there already" : "\((seconds * 1000).rounded() / 1000) s"
        Output.line(
          "node \(done.node): snapshot up to entry \(done.snapshot.index), \(done.snapshot.bytes) bytes, \(time)")
      }
    } catch {
      throw CommandFailure.failed(CallResult.text(error))
    }
  }

  private static func endpoint(of node: UInt64, _ endpoints: [Endpoint]) async throws(CommandFailure) -> Endpoint {
    let survey = StatusSurvey(endpoints: endpoints, timeout: .seconds(2))
    let answers = await survey.ask()
    await survey.close()
    if let answer = answers.first(where: { $0.status?.node == node }) { return answer.endpoint }
    let found = answers.compactMap { $0.status?.node }.map(String.init).joined(separator: ", ")
    throw .failed("node \(node) answers at none of the endpoints" + (found.isEmpty ? "" : "; there are \(found)"))
  }
}
