import ArgumentParser
import Foundation
import LockstepConsensus
import LockstepDriver
import Testing

@testable import Lockstep
@testable import LockstepCommand

@Suite("A node's options")
struct NodeOptionTests {
  private static let full = """
    # Node 2 of three.
    id = 2
    dir = /var/lib/two
      listen=127.0.0.1:7402\u{9}

    peer-listen = 127.0.0.1:7502
    members = 1=127.0.0.1:7501,2=127.0.0.1:7502,3=127.0.0.1:7503
    leader = 1
    cluster = blue = green
    maximum-request-bytes = 4096
    segment-bytes = 1048576
    log-level = debug
    """

  private func withFile<Result>(_ text: String, _ body: (String) throws -> Result) throws -> Result {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("lockstep-options-\(UUID().uuidString)")
    try Data(text.utf8).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    return try body(file.path)
  }

  private func refusal(_ body: () throws -> Void) -> String {
    do { try body() } catch { return (error as? NodeOptions.ValidationFailure)?.message ?? "\(error)" }
    return "none"
  }

  @Test("--config: every option from a file; those on the command line win, wherever they stand")
  func file() throws {
    for written in ["--config", "--config="] {
      try withFile(Self.full) { path in
        let config = written.hasSuffix("=") ? [written + path] : [written, path]
        let options = try NodeOptions.parse(
          try NodeConfigurationFile.expand(["--dir", "/tmp/other", "--replace-disk"] + config + ["--leader=3"]))
        let configuration = try options.configuration()
        #expect(configuration.replacesDisk && !configuration.isDirectoryMoved)
        #expect(configuration.id == 2 && configuration.directory == "/tmp/other" && configuration.preferredLeader == 3)
        #expect(configuration.listen.port == 7402 && configuration.peerListen.port == 7502)
        #expect(configuration.members.map(\.id) == [1, 2, 3] && configuration.cluster == "blue = green")
        #expect(configuration.maximumRequestBytes == 4096 && configuration.segmentBytes == 1_048_576)
        #expect(options.logLevel == "debug" && !options.stopOnStdinClose)
      }
    }
  }

  @Test("sizes are written alike, and what is none is named")
  func sizes() throws {
    let flags = ["--id", "1", "--dir", "d", "--listen", "h:1", "--peer-listen", "h:2", "--members", "1=h:2"]
    for name in [
      "maximum-request-bytes", "segment-bytes", "snapshot-log-bytes", "retain", "snapshot-rate", "disk-budget",
    ] {
      let size = name == "disk-budget" ? "128MiB" : "2MiB"
      _ = try NodeOptions.parse(flags + ["--\(name)", size]).configuration()
      let options = try NodeOptions.parse(flags + ["--\(name)=2Mi"])
      let failure = #expect(throws: NodeOptions.ValidationFailure.self) { try options.configuration() }
      #expect(failure?.message.contains("--\(name) '2Mi' is no number of bytes") == true)
    }
    let configuration = try NodeOptions.parse(flags + ["--segment-bytes", "2MiB"]).configuration()
    #expect(configuration.segmentBytes == 2 << 20 && configuration.snapshotLogBytes == 512 << 20)
  }

  @Test(
    "--dir: what leads to a directory",
    arguments: [
      ("/a/b/1", "/a/b"), ("/a//b//1//", "/a//b"), ("a/1", "a"), ("a/../1", "a/.."), ("1", "."), ("1/", "."),
      ("/1", "/"), ("//1", "/"), ("/", "/"), (".", "."), ("", "."), ("é/\u{301}/1", "é/\u{301}"),
    ])
  func parent(path: String, parent: String) { #expect(ParentDirectories.parent(of: path) == parent) }

  @Test("--config: what the file may name is what a node's help lists")
  func names() {
    let help = NodeOptions.helpMessage()
    let listed = help.matches(of: #/--([a-z-]+)/#).map { String($0.1) }
    let onlyThere = ["config", "stop-on-stdin-close", "help", "moved-directory", "replace-disk"]
    #expect(Set(listed).subtracting(onlyThere) == Set(NodeConfigurationFile.names))
  }

  @Test(
    "--config: a wrong line is named",
    arguments: [
      ("id = 1\nport = 3", "line 2: 'port' is none of id, dir"), ("id", "line 1: 'id' is not NAME = VALUE"),
      ("\n\nid =", "line 3: 'id' has no value"), ("id=1\n#\nid=2", "line 3: 'id' is in line 1 already"),
      ("config = other", "'config' is none of"), ("--id = 1", "'--id' is none of"),
      ("id = 1\0", "is not text in UTF-8"),
      (String(repeating: "#\n", count: 40_000), "has more than 65536 bytes"),
    ])
  func wrong(text: String, expected: String) throws {
    let message = try withFile(text) { path in refusal { _ = try NodeConfigurationFile.expand(["--config", path]) } }
    #expect(message.contains(expected) && message.contains("lockstep-options-"))
  }

  @Test(
    "snapshots: what is out of range is refused with the range, and the ends of the range are not",
    arguments: [
      ("65535", "6h", "--snapshot-log-bytes 65535 is not between 65536 (64 KiB) and 1099511627776 (1 TiB)"),
      ("65536", "1s", "none"), ("1099511627776", "8784h", "none"), ("1099511627777", "6h", "--snapshot-log-bytes"),
      ("65536", "999ms", "--snapshot-age '999ms' is no time between 1s and 8784h (366 days)"),
      ("65536", "527041m", "--snapshot-age '527041m' is no time between 1s and 8784h (366 days)"),
    ])
  func snapshots(bytes: String, age: String, expected: String) throws {
    try withFile(Self.full) { path in
      let options = try NodeOptions.parse(
        try NodeConfigurationFile.expand(
          ["--config", path, "--snapshot-log-bytes=\(bytes)", "--snapshot-age=\(age)"]))
      #expect(refusal { _ = try options.configuration() }.hasPrefix(expected))
    }
  }

  /// A leader that hears nothing of the others proposes up to the one: those that were short of room have the other for it.
  @Test(
    "a disk of a size: what is proposed before it is known that room is short has room, and an append fits in it",
    arguments: [64 << 20, 256 << 20, 512 << 20, 8 << 30, 1 << 50])
  func roomForProposed(limit: Int) throws {
    let flags = ["--id", "1", "--dir", "d", "--listen", "h:1", "--peer-listen", "h:2", "--members", "1=h:2"]
    let fitted = try NodeOptions.parse(flags).configuration().fitted(to: limit)
    #expect(fitted.limits.uncommittedBytes == fitted.driver.roomForProposed)
    #expect(fitted.limits.problem == nil && fitted.driver.roomForProposed <= limit / 64)
    #expect(limit < 8 << 30 || fitted.limits.uncommittedBytes == 128 << 20)
  }

  @Test(
    "a number of bytes is written with a unit or without",
    arguments: [
      ("0", 0), ("1048576", 1 << 20), ("64MiB", 64 << 20), ("1GiB", 1 << 30), ("10GB", 10_000_000_000), ("7B", 7),
      ("3kB", 3000), ("2TiB", 2 << 40), ("", nil), ("MiB", nil), ("-1", nil), ("1.5GiB", nil), ("1 MiB", nil),
      ("1mib", nil), ("9223372036854775808", nil), ("8388608TiB", nil), ("٣", nil),
    ] as [(String, Int?)])
  func byteCounts(text: String, bytes: Int?) { #expect(ByteCount(text)?.bytes == bytes) }

  @Test("--config: a file that is not there, a directory, and two of them")
  func noFile() {
    #expect(refusal { _ = try NodeConfigurationFile.expand(["--config", "/nowhere/x"]) }.contains("No such file"))
    #expect(refusal { _ = try NodeConfigurationFile.expand(["--config", "/"]) }.contains("Is a directory"))
    #expect(refusal { _ = try NodeConfigurationFile.expand(["--config=a", "--config", "b"]) }.contains("given twice"))
  }

  @Test("connections leave files to the log, whatever the limit", arguments: [0, 32, 100, 256, 1024, 65_536])
  func files(limit: Int) {
    let (clients, peers) = ProcessFiles.connections(files: limit)
    #expect(clients > 0 && peers > 0 && clients <= 4096 && peers <= 256)
    if limit >= 100 { #expect(clients + peers <= limit - 64) }
    if limit > 5000 { #expect(clients == 4096 && peers == 256) }
  }
}
