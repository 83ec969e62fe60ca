import ArgumentParser
import Foundation
import Lockstep
import LockstepCommand
import Testing

@testable import LockstepTool

@Suite("flags")
struct OptionTests {
  private func parse<Command>(_ arguments: [String], as: Command.Type = Command.self) throws -> Command {
    try #require(try Program.parseAsRoot(arguments) as? Command)
  }

  @Test("endpoints: the flag, else the environment, else the ports of up")
  func endpoints() throws {
    let flag: StatusCommand = try parse(["status", "--endpoints", "a:1,[::1]:2"])
    let resolved = [Endpoint(host: "a", port: 1), Endpoint(host: "::1", port: 2)]
    #expect(try flag.cluster.resolved(environment: "b:3") == resolved)
    let none: StatusCommand = try parse(["status"])
    #expect(try none.cluster.resolved(environment: "b:3") == [Endpoint(host: "b", port: 3)])
    #expect(try none.cluster.resolved(environment: nil).map(\.port) == [7401, 7402, 7403])
    #expect(try none.cluster.resolved(environment: "").map(\.port) == [7401, 7402, 7403])
    #expect(throws: CommandFailure.self) { try none.cluster.resolved(environment: "b") }
  }

  @Test("a call's levels")
  func levels() throws {
    let call: CallCommand = try parse(
      ["call", "a.B/C", "{}", "--ack", "all", "--read", "at:7", "--timeout", "250ms", "--json"])
    #expect(call.defaults.ack == .all)
    #expect(call.defaults.read == .at(7))
    #expect(call.defaults.timeout == .milliseconds(250))
    #expect(call.printsEnvelope)
  }

  @Test("calls from stdin")
  func standardInput() throws {
    let call: CallCommand = try parse(["call", "-", "--concurrency", "64"])
    #expect((call.method, call.concurrency) == ("-", 64))
  }

  @Test("a node's flags go to the node as they are")
  func node() throws {
    let node: NodeSubcommand = try parse(["node", "--id", "1", "--what", "-x"])
    #expect(node.flags == ["--id", "1", "--what", "-x"])
  }

  @Test(
    "bad usage is exit code 2",
    arguments: [
      ["what"], ["call"], ["call", "a.B/C"], ["call", "-", "{}"], ["call", "-", "--concurrency", "0"],
      ["call", "a.B/C", "{}", "--concurrency", "2"], ["call", "a.B/C", "{}", "--ack", "some"],
      ["call", "a.B/C", "{}", "--read", "some"], ["call", "a.B/C", "{}", "--timeout", "0"],
      ["call", "a.B/C", "{", "--endpoints", "127.0.0.1:1"], ["status", "--endpoints", "x"],
      ["status", "--endpoints", "h:0"], ["up", "--nodes", "0"],
      ["up", "--nodes", "1", "--base-port", "-1"], ["log", "verify", "-x"], ["describe", "-x"], ["up", "--dir", "-x"],
      ["call", "a.B/C", "{}", "--timeout", "1e30h"], ["call", "a.B/C", "{}", "--timeout", "9223372036854775807s"],
      ["call", "a.B/C", "{}", "--read", "bounded:9223372036854775807s"],
      ["bench", "--timeout", "18446744073709551615"],
      ["describe", "--timeout", "9223372036854775807h"], ["up", "--nodes", "9223372036854775808"],
      ["up", "--nodes", "65"],
      ["up", "--ephemeral", "--dir", "d"], ["up", "--binary", "/does/not/exist"], ["log", "inspect"],
    ])
  func badUsage(arguments: [String]) async { #expect(await Program.run(arguments) == 2) }

  @Test(
    "up refuses what its nodes would refuse, with the range, before it makes a directory",
    arguments: [
      ("--snapshot-log-bytes=0", "--snapshot-log-bytes 0 is not between 65536 (64 KiB) and"),
      ("--retain=5 apples", "--retain '5 apples' is no number of bytes; write it like 1048576, 64MiB or 10GB"),
      ("--snapshot-rate=1kB", "--snapshot-rate 1000 is less than 1048576 (1 MiB) a second"),
      ("--snapshot-log-bytes=-1", "--snapshot-log-bytes '-1' is no number of bytes"),
      ("--snapshot-log-bytes=\(Int.max)", "and 1099511627776 (1 TiB)"),
      ("--snapshot-age=999999h", "--snapshot-age '999999h' is no time between 1s and 8784h (366 days)"),
      ("--snapshot-age=10ms", "--snapshot-age '10ms' is no time between 1s and 8784h (366 days)"),
      (
        "--snapshot-age=often",
        "--snapshot-age 'often' is no time between 1s and 8784h (366 days); write it like 30m or 6h"
      ),
    ])
  func upChecksNodes(flag: String, message: String) async throws {
    let up: UpCommand = try parse(["up", flag, "--dir", "/nowhere/at/all"])
    let failure = #expect(throws: CommandFailure.self) { try up.check(nodes: 3) }
    #expect(failure?.exitCode == 2 && failure?.message.contains(message) == true, "\(failure?.message ?? "")")
    if flag.hasPrefix("--snapshot-log-bytes=0") {
      let directory = FileManager.default.temporaryDirectory.appendingPathComponent("up-\(UUID().uuidString)").path
      #expect(await Program.run(["up", flag, "--dir", directory, "--nodes", "1"]) == 2)
      #expect(!FileManager.default.fileExists(atPath: directory + "/1"))
    }
  }

  @Test(
    "a cluster that cannot be reached is exit code 1",
    arguments: [["call", "a.B/C", "{}"], ["describe"], ["status"]])
  func unreachable(arguments: [String]) async {
    #expect(await Program.run(arguments + ["--endpoints", "127.0.0.1:1"]) == 1)
  }

  @Test(
    "help and version are exit code 0",
    arguments: [["--help"], ["--version"], ["up", "--help"], ["call", "--help"], ["help", "status"]])
  func help(arguments: [String]) async { #expect(await Program.run(arguments) == 0) }

  @Test(
    "what was meant as a value and begins with '-' is said to be taken for an option, and how it is written",
    arguments: [
      (["up", "--dir", "-x"], "'-x' is taken for an option; as a value it is written --dir=-x"),
      (["log", "verify", "-x"], "'-x' is taken for an option; a name that begins with '-' comes after '--'"),
      (["call", "a.B/C", "-1"], "'-1' is taken for an option; a name that begins with '-' comes after '--'"),
    ])
  func dashes(arguments: [String], hint: String) {
    #expect(DashHint.text(arguments)?.hasPrefix(hint) == true)
  }

  @Test("no such hint where no argument is like that", arguments: [["call", "-", "x"], ["up", "--", "-x"], []])
  func noDashes(arguments: [String]) { #expect(DashHint.text(arguments) == nil) }
}
