import ArgumentParser
import FoundationEssentials
import LockstepReflection
import LockstepStorage

struct LogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log",
    abstract: "Read a stopped node's log. Nothing is changed.",
    subcommands: [LogInspect.self, LogVerify.self])
}

/// What both subcommands take.
struct LogOptions: ParsableArguments {
  @Argument(help: "A node's directory, like lockstep-data/1. The node must not be running.")
  var dir: String

  @Flag(help: "Print JSON objects, one a line.")
  var json = false

  /// Opens the log, hands it to `body`, and makes an error of the storage one of the command.
  func read(_ body: (LogInspector) throws(StorageError) -> StorageError?) throws(CommandFailure) {
    try NodePath.check(dir)
    var failure: StorageError?
    do throws(StorageError) {
      let inspector = try LogInspector(disk: PosixDisk(), path: dir)
      defer { inspector.close() }
      failure = try body(inspector)
    } catch {
      if json { Output.line(LogText.json(error)) }
      failure = error
    }
    if let failure { throw .failed("\(failure)") }
  }
}

/// What people name when they mean a node's directory.
enum NodePath {
  static func check(_ path: String) throws(CommandFailure) {
    if FileManager.default.fileExists(atPath: "\(path)/cluster"),
      !FileManager.default.fileExists(atPath: "\(path)/identity")
    {
      throw .usage("'\(path)' holds a whole cluster; name one of its nodes, like '\(path)/1'")
    }
  }
}

struct LogVerify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check every checksum, the chain of hashes over all entries, and all snapshots.",
    discussion: """
      Also said is what the node's next start would begin with: a snapshot, and the log behind it, or the first entry. \
      What a snapshot holds is the service's, which only a start can read. Exit code 1 when something does not hold; the \
      message names the file and the byte. With --json:
        {"ok":true,"node":1,"entries":1200,...,
         "snapshots":[{"file":"...","index":1000,...}],"starts":[...]}
        {"ok":false,"file":"...","offset":8192,"error":"..."}
      """)

  @OptionGroup var options: LogOptions

  func run() throws {
    try options.read { inspector throws(StorageError) in
      let (summary, snapshots) = try inspector.audit()
      if options.json {
        Output.line(LogText.json(summary, snapshots))
      } else {
        Output.write(LogText.text(summary) + LogText.text(snapshots))
      }
      return snapshots.problem
    }
  }
}

struct LogInspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "List the entries, in the order in which they were written, and check them on the way.",
    discussion: """
      An entry that was replaced by another leader's is listed too, before the one that replaced it. The last line sums \
      up. Exit code 1 where something does not hold.
      """)

  @OptionGroup var options: LogOptions

  func run() throws {
    let json = options.json
    var isFirst = true
    try options.read { inspector throws(StorageError) in
      let summary = try inspector.walk { record in
        var text = ""
        if isFirst, !json { text = LogText.heading + "\n" }
        isFirst = false
        for batch in record.batches {
          for entry in batch.entries {
            text += json ? LogText.json(entry, batch, record).text() : LogText.text(entry, batch)
            text += "\n"
          }
        }
        Output.write(text)
      }
      if json { Output.line(LogText.json(summary)) } else { Output.write(LogText.text(summary)) }
      return nil
    }
  }
}
