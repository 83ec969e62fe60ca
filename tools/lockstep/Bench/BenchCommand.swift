import ArgumentParser
import Lockstep
import LockstepReflection
import NIOCore
import NIOPosix

extension Load.Operation: ExpressibleByArgument {}

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Put a load on a running cluster that offers lockstep.kv.v1.KeyValue, and measure.",
    discussion: """
      A closed loop over TCP: each client has --depth calls under way on its connection, and sends the next when one is \
      answered. All clients connect to the first endpoint that is named: name the leader's to measure commands.
      """)

  @Option(help: "put or get.")
  var op: Load.Operation = .put

  @Option(help: "Connections.")
  var clients = 64

  @Option(help: "Calls under way on each connection.")
  var depth = 1

  @Option(help: "Bytes of a value.")
  var valueSize = 256

  @Option(help: "Different keys.")
  var keys = 100_000

  @Option(help: "How long is measured, in seconds.")
  var seconds = 10

  @Option(help: "How long the load runs before that, in seconds.")
  var warmup = 2

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var cluster: ClusterOptions

  func validate() throws {
    for (name, value, range) in [
      ("clients", clients, 1...4096), ("depth", depth, 1...8192), ("value-size", valueSize, 0...1_000_000),
      ("keys", keys, 1...1_000_000_000), ("seconds", seconds, 1...86_400), ("warmup", warmup, 0...3600),
    ] where !range.contains(value) {
      throw ValidationError("--\(name) is \(value), must be from \(range.lowerBound) to \(range.upperBound)")
    }
  }

  func run() async throws {
    let endpoint = try cluster.resolved()[0]
    let load = Load(operation: op, clients: clients, depth: depth, valueBytes: valueSize, keys: keys)
    let warmup = TimeAmount.seconds(Int64(warmup))
    let seconds = TimeAmount.seconds(Int64(seconds))
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let result = await withCheckedContinuation { (done: CheckedContinuation<LoadResult, Never>) in
      loop.execute {
        LoadGenerator(load, endpoints: [endpoint], on: loop, seed: 1) { done.resume(returning: $0) }
          .start(warmup: warmup, duration: seconds)
      }
    }
    report(result)
    if result.calls == 0 {
      throw CommandFailure.failed("\(endpoint) answered nothing: \(result.firstError ?? "no reason is known")")
    }
    if let error = result.firstError { Output.error("\(result.errors) errors, the first: \(error)") }
  }

  private func report(_ result: LoadResult) {
    let rate = result.seconds > 0 ? Double(result.calls - min(result.errors, result.calls)) / result.seconds : 0
    let last = result.percentile(1)
    if json {
      Output.line(
        .object([
          "ops_per_s": .init(rate.rounded()), "p50_us": .init(result.percentile(0.5)),
          "p99_us": .init(result.percentile(0.99)), "p999_us": .init(result.percentile(0.999)), "max_us": .init(last),
          "errors": .init(result.errors), "op": .init(op.rawValue), "clients": .init(clients), "depth": .init(depth),
          "value_size": .init(valueSize), "seconds": .init(result.seconds),
        ]))
      return
    }
    Output.line("\(op.rawValue): \(clients) clients, \(depth) under way on each, values of \(valueSize) bytes")
    Output.line("  \(Int(rate)) a second, \(result.errors) errors")
    Output.line(
      "  p50 \(Int(result.percentile(0.5))) µs, p99 \(Int(result.percentile(0.99))) µs, p99.9 \(Int(result.percentile(0.999))) µs, longest \(Int(last)) µs"
    )
  }
}
