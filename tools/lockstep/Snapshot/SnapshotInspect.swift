import ArgumentParser
import FoundationEssentials
import LockstepConsensus
import LockstepReflection
import LockstepStorage
import LockstepWire

struct SnapshotInspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what snapshot files are of, and check all of them. Nothing is changed.",
    discussion: """
      Snapshots lie in a node's directory, as snapshot-GROUP-INDEX; a copy may have any name. A running node's can be read \
      too. Exit code 1 when something does not hold; the message names the file and the byte. Whether a node could start \
      from them, 'lockstep log verify' says.
      """)

  @Argument(
    help: ArgumentHelp(
      "Files, like lockstep-data/1/snapshot-1-00000000000000001200, or nodes' directories, of which all are shown.",
      valueName: "path"))
  var paths: [String]

  @Flag(help: "Print JSON objects, one a line for each file.")
  var json = false

  func run() throws {
    var problems: [String] = []
    func note(_ problem: String, _ place: [JSONValue.Member] = []) {
      problems.append(problem)
      guard json else { return }
      Output.line(.object([.init(key: "ok", value: false)] + place + [.init(key: "error", value: .init(problem))]))
    }
    for path in paths {
      let files: [String]
      do throws(CommandFailure) { files = try Self.files(path) } catch {
        note(error.message, [.init(key: "file", value: .init(path))])
        continue
      }
      for file in files {
        do throws(StorageError) { try show(file) } catch {
          // A running node removes those that are older than its last two.
          if file != path, case .disk(let error) = error, error.reason == .notFound { continue }
          let (place, offset) = LogText.place(of: error)
          note("\(error)", [.init(key: "file", value: place), .init(key: "offset", value: offset)])
        }
      }
    }
    guard problems.isEmpty else { throw CommandFailure.failed(problems.joined(separator: "\n")) }
  }

  /// What is meant by a path: itself, or the snapshots in a directory.
  private static func files(_ path: String) throws(CommandFailure) -> [String] {
    var isDirectory = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw .failed("\(path): No such file or directory")
    }
    guard isDirectory else {
      // A pipe or a device might be read for ever.
      let attributes = try? FileManager.default.attributesOfItem(atPath: path)
      let kind = attributes?[.type] as? FileAttributeType
      guard kind == .typeRegular || kind == .typeSymbolicLink else { throw .failed("\(path) is not a file") }
      return [path]
    }
    try NodePath.check(path)
    let names: [SnapshotName]
    do throws(StorageError) { names = try SnapshotStore.names(in: path, on: PosixDisk()) } catch {
      throw .failed("\(error)")
    }
    guard !names.isEmpty else { throw .failed("\(path) holds no snapshot") }
    return names.map { "\(path)/\($0)" }
  }

  private func show(_ path: String) throws(StorageError) {
    let snapshot = try SnapshotFile(disk: PosixDisk(), path: path)
    let content = try snapshot.verify()
    Output.write(json ? Self.json(snapshot, content) + "\n" : Self.text(snapshot, content))
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
    let lines = rows.map { $0.0 + String(repeating: " ", count: 17 - $0.0.count) + $0.1 + "\n" }
    return "\(snapshot.path)\n" + lines.joined() + "all of it holds\n"
  }

  private static func json(_ snapshot: SnapshotFile, _ content: SnapshotTrailer) -> String {
    let header = snapshot.header
    return JSONValue.object([
      "ok": true, "file": .init(snapshot.path), "cluster": .init(hexadecimal(header.cluster)),
      "group": .init(header.group.rawValue),
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
