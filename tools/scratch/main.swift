import Lockstep
import LockstepServices
import NIOCore
import NIOPosix
import SwiftProtobuf

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.first == "node" {
  await NodeCommand.run(services: [KeyValue.self, Counter.self], arguments: Array(arguments.dropFirst()))
} else if arguments.first == "put" {
  let client = Client(endpoints: [Endpoint(arguments[1])!])
  var request = Lockstep_Kv_V1_PutRequest()
  request.key = arguments[2]
  request.value = arguments[3]
  do {
    let reply = try await client.call("lockstep.kv.v1.KeyValue/Put", try request.serializedBytes())
    print(reply)
  } catch { print(error) }
} else if arguments.first == "bench" {
  // endpoints clients depth size op
  let endpoints = arguments[1].split(separator: ",").map { Endpoint(String($0))! }
  let load = Load(operation: .init(rawValue: arguments[5])!, clients: Int(arguments[2])!, depth: Int(arguments[3])!, valueBytes: Int(arguments[4])!, keys: 100_000)
  let loop = MultiThreadedEventLoopGroup.singleton.next()
  await withCheckedContinuation { (c: CheckedContinuation<Void, Never>) in
    loop.execute {
      let g = LoadGenerator(load, endpoints: endpoints, on: loop, seed: 42, finished: { r in
        print("clients \(load.clients) depth \(load.depth) ops/s \(Int(Double(r.calls)/r.seconds)) p50 \(r.percentile(0.5)) p99 \(r.percentile(0.99)) errors \(r.errors) \(r.firstError ?? "")")
        c.resume()
      }, failed: { print($0) })
      g.start(warmup: .seconds(1), duration: .seconds(5))
    }
  }
}
