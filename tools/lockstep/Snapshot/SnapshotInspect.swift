import ArgumentParser
import LockstepConsensus
import LockstepReflection
import LockstepStorage
import LockstepWire

struct SnapshotInspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a snapshot file is of, and check all of it. Nothing is changed.",
    discussion: """
      Snapshots lie in a node's directory, as snapshot-GROUP-INDEX. A running node's can be read too. Exit code 1 when \
      something does not hold; the message names the file and the byte.
      """)

  @Argument(help: "The file, like lockstep-data/1/snapshot-1-00000000000000001200.")
  var file: String

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    do throws(StorageError) {
      let snapshot = try SnapshotFile(disk: PosixDisk(), path: file)
      let content = try snapshot.verify()
      Output.write(json ? Self.json(snapshot, content) + "\n" : Self.text(snapshot, content))
    } catch {
      if json { Output.line(LogText.json(error)) }
      throw CommandFailure.failed("\(error)")
    }
  }

  private static func members(_ header: SnapshotHeader) -> [(id: UInt64, address: String)] {
    header.addresses.map { ($0.node.rawValue, $0.address) }
  }

  private static func text(_ snapshot: SnapshotFile, _ content: SnapshotTrailer) -> String {
    let header = snapshot.header
    let rows: [(String, String)] = [
      ("cluster", hexadecimal(header.cluster)), ("group", "\(header.group)"),
      ("last entry", "\(header.last.id.index) of term \(header.last.id.term)"),
      ("chain", hexadecimal(header.last.chain)),
      ("members", members(header).map { "\($0.id)=\($0.address)" }.joined(separator: ", ")),
      ("machine version", "\(header.machineVersion)"), ("digest", hexadecimal(header.digest)),
      ("log time", "\(header.time) ns since 1970"),
      ("state", "\(content.bytes) bytes in \(content.chunks) chunks; the file has \(snapshot.fileBytes)"),
    ]
    return rows.map { $0.0 + String(repeating: " ", count: 17 - $0.0.count) + $0.1 + "\n" }.joined()
      + "all of it holds\n"
  }

  private static func json(_ snapshot: SnapshotFile, _ content: SnapshotTrailer) -> String {
    let header = snapshot.header
    return JSONValue.object([
      "ok": true, "cluster": .init(hexadecimal(header.cluster)), "group": .init(header.group.rawValue),
      "index": .init(header.last.id.index.rawValue), "term": .init(header.last.id.term.rawValue),
      "chain": .init(hexadecimal(header.last.chain)),
      "members": .array(
        members(header).map { .object(["id": .init($0.id), "address": .init($0.address)]) }),
      "machineVersion": .init(UInt64(header.machineVersion)), "digest": .init(hexadecimal(header.digest)),
      "time": .init(header.time), "chunks": .init(content.chunks), "stateBytes": .init(content.bytes),
      "bytes": .init(UInt64(snapshot.fileBytes)),
    ]).text()
  }
}
