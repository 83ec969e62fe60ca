import ArgumentParser
import Lockstep
import Testing

@testable import LockstepTool

@Suite("flags of bench")
struct BenchOptionTests {
  private func parse(_ arguments: [String]) throws -> BenchCommand {
    try #require(try Program.parseAsRoot(["bench"] + arguments) as? BenchCommand)
  }

  @Test("without flags: 64 clients put, one call under way on each")
  func defaults() throws {
    let load = try parse([]).load
    #expect(load.operation == .put && load.clients == 64 && load.pace == .closed(depth: 1) && load.window == 1)
    #expect(load.extent == .time(warmup: 2, seconds: 10) && load.valueBytes == 256 && load.keys == 100_000)
    #expect(load.options.acknowledgement == .quorum && load.options.timeout == .seconds(5))
  }

  @Test("--batch puts commands together; without it a call is a command")
  func batch() throws {
    #expect(try parse([]).load.batch == 1)
    let load = try parse(["--batch", "64", "--depth", "8"]).load
    #expect(load.batch == 64 && load.window == 8)
  }

  @Test("--rate makes an open loop, in which many calls may be under way")
  func openLoop() throws {
    let load = try parse(["--rate", "5000", "--clients", "8", "--op", "get", "--read", "any"]).load
    #expect(load.pace == .open(rate: 5000) && load.window == 8192 && load.options.consistency == .any)
    let bounded = try parse(["--rate", "5000", "--depth", "3"]).load
    #expect(bounded.pace == .open(rate: 5000, depth: 3) && bounded.window == 3)
  }

  @Test("the cluster: what is named, else the environment, else one is started; --nodes asks for one to be started")
  func cluster() throws {
    #expect(try parse([]).named(environment: nil) == nil)
    #expect(try parse([]).named(environment: "") == nil)
    #expect(try parse([]).named(environment: "b:3") == [Endpoint(host: "b", port: 3)])
    #expect(try parse(["--nodes", "5"]).named(environment: "b:3") == nil)
    #expect(try parse(["--endpoints", "a:1"]).named(environment: "b:3") == [Endpoint(host: "a", port: 1)])
    #expect(throws: CommandFailure.self) { try parse([]).named(environment: "b") }
  }

  @Test(
    "what makes no sense is bad usage",
    arguments: [
      ["--rate", "10", "--clients", "64", "--depth", "1025"], ["--rate", "0"], ["--depth", "0"], ["--clients", "0"],
      ["--keys", "0"],
      ["--op", "get", "--ack", "quorum"], ["--read", "any"], ["--fill"], ["--op", "delete"], ["--nodes", "0"],
      ["--batch", "0"], ["--batch", "4097"], ["--batch", "2", "--op", "get"], ["--batch", "2", "--rate", "10"],
      ["--op", "get", "--explain"],
      ["--nodes", "3", "--endpoints", "a:1"], ["--op", "get", "--read", "some"], ["--timeout", "0"],
    ])
  func badUsage(arguments: [String]) async { #expect(await Program.run(["bench"] + arguments) == 2) }

  @Test("a cluster that does not answer is exit code 1")
  func unreachable() async { #expect(await Program.run(["bench", "--endpoints", "127.0.0.1:1"]) == 1) }
}
