public import ArgumentParser
public import Lockstep

/// The flags of a node, the same for `lockstep node` and for a user's own program.
public struct NodeOptions: ParsableArguments {
  /// This node's number, from 1; one of `members`.
  @Option(help: "This node's number, from 1.")
  public var id: UInt64

  /// The directory of this node's data; made when it does not exist, and so are those above it.
  @Option(help: "Where its data lies; made when it does not exist, and so is what leads there.")
  public var dir: String

  /// Where clients connect: `HOST:PORT`.
  @Option(help: ArgumentHelp("Where clients connect.", valueName: "host:port"))
  public var listen: String

  /// Where the other nodes connect: `HOST:PORT`.
  @Option(help: ArgumentHelp("Where the other nodes connect.", valueName: "host:port"))
  public var peerListen: String

  /// All voters, this node among them, and where their peers reach them: `ID=HOST:PORT,...`.
  @Option(help: ArgumentHelp("All nodes and where their peers reach them.", valueName: "1=host:port,..."))
  public var members: String

  /// The node that leads when it can; nil: any.
  @Option(help: ArgumentHelp("The node that leads when it can.", valueName: "id"))
  public var leader: UInt64?

  /// The cluster's name; nil: made from the members at the first start, and taken from the directory after that.
  @Option(help: "The cluster's name: nodes of two clusters never talk. By default made from the members.")
  public var cluster: String?

  /// Bytes of the largest request that is taken, from 1 byte to 64 MiB; 1 MiB by default. Written like `1048576` or
  /// `1MiB`, as are the other sizes.
  @Option(help: ArgumentHelp("The largest request that is taken.", valueName: "bytes"))
  public var maximumRequestBytes = "1MiB"

  /// Bytes of one segment file of the log, from 1 MiB to 4 GiB; 64 MiB by default.
  @Option(help: ArgumentHelp("The size of one file of the log.", valueName: "bytes"))
  public var segmentBytes = "64MiB"

  /// Bytes of log behind the last snapshot that lead to the next one, from 64 KiB to 1 TiB; 512 MiB by default. A
  /// snapshot that is larger itself waits for as much log as it has bytes.
  @Option(
    help: ArgumentHelp(
      "Log behind the last snapshot that leads to the next one, unless that snapshot is larger.", valueName: "bytes"))
  public var snapshotLogBytes = "512MiB"

  /// How old a snapshot becomes before another follows, if anything was applied since: `30m`, `6h`; from 1 second to
  /// 366 days, 6 hours by default.
  @Option(
    help: ArgumentHelp(
      "A snapshot that is older is followed by another, if anything was applied since: 30m, 6h.", valueName: "duration")
  )
  public var snapshotAge: String = "6h"

  /// What the directory may take of the disk: `1048576`, `64MiB`, `10GB`; nil: nine tenths of what its file system has
  /// for it. Beyond that no commands are taken, until there is room again.
  @Option(
    help: ArgumentHelp(
      "What the directory may take of the disk: beyond that no commands are taken, until there is room again. (default: nine tenths of what its file system has for it)",
      valueName: "bytes"))
  public var diskBudget: String?

  /// Log that may gather while a member that is behind holds up its beginning, in bytes or as `64MiB`, the default;
  /// after that the member gets a snapshot.
  @Option(
    help: ArgumentHelp(
      "Log that may gather while a member that is behind holds up its beginning; then it gets a snapshot.",
      valueName: "bytes"))
  public var retain: String = "64MiB"

  /// What this node fetches of another's snapshot in a second, at most, in bytes or as `512MiB`, the default; 1 MiB or
  /// more.
  @Option(help: ArgumentHelp("What is fetched of another node's snapshot in a second, at most.", valueName: "bytes"))
  public var snapshotRate: String = "512MiB"

  /// Changes that are kept in memory for those who follow them (`lockstep watch`), in bytes or as `64MiB`; 0: none. Nil, the
  /// default: 32 MiB, and while nobody follows them only until they are full.
  @Option(
    help: ArgumentHelp(
      "Keep so much of the last changes in memory for those who follow them; 0: none. (default: 32MiB, and while nobody follows them only until they are full)",
      valueName: "bytes"))
  public var changeWindow: String?

  /// The level at which commands are acknowledged that ask for less: `leader`, which is none, by default; `quorum`, a
  /// number of voters, `all`, `applied`. The node that leads decides, so give all nodes the same.
  @Option(
    help: ArgumentHelp(
      "Commands that ask for less are acknowledged at this level: leader, quorum, a number of voters, all or applied; the same on all nodes.",
      valueName: "level"))
  public var minimumAck: String = "leader"

  /// Whether a node that does not lead refuses commands, and says who leads, instead of passing them on.
  @Flag(help: "Refuse commands while another node leads, instead of passing them on to it.")
  public var noForward = false

  /// The most by which the rates of two nodes' clocks differ, in per cent: `1%`. With it the leader answers reads at level
  /// `lease` without asking the others. Nil, the default: no leases. The same on all nodes.
  @Option(
    help: ArgumentHelp(
      "Serve reads at level 'lease', which ask no other node: no two nodes' clocks differ in rate by more than this, such as 1%. The same on all nodes.",
      valueName: "percent"))
  public var leaseDrift: String?

  /// The least level that is logged to standard error: `trace`, `debug`, `info` (the default), `notice`, `warning`,
  /// `error` or `critical`.
  @Option(help: "trace, debug, info, notice, warning, error or critical; to stderr.")
  public var logLevel: String = "info"

  @Option(
    help: ArgumentHelp(
      "A file with these options, one a line as NAME = VALUE; those on the command line win.", valueName: "file"))
  var config: String?

  /// The directory is a copy of the node's latest one, in its place; a copy is refused otherwise. For one start.
  @Flag(
    help: ArgumentHelp(
      "Take a directory that is a copy, as one is that was moved to another disk; for one start.",
      discussion: """
        A copy of a node's directory is refused, as it may lack what the node has promised since it was made. Say this \
        only of the latest one, copied while the node was stopped.
        """))
  public var movedDirectory = false

  /// The directory is a new one, in place of one that is lost for good: the node is a learner until it has what the
  /// lost one may have promised. Refused for a directory in which the node has worked, unless it was begun so.
  @Flag(
    help: ArgumentHelp(
      "Begin with an empty directory in place of one that is lost for good.",
      discussion: """
        The others refuse a node that comes with an empty directory: what it has promised before is not in it. With this \
        word they take it as a learner; it gets the log, and votes again when it has all that the lost directory may have \
        promised. The lost one is refused from then on. Refused for a directory in which the node has worked; harmless \
        at later starts of one that was begun with it.
        """))
  public var replaceDisk = false

  /// Whether the node stops in order when its standard input ends.
  @Flag(help: "Stop when standard input ends: a launcher that dies takes its nodes along.")
  public var stopOnStdinClose = false

  /// What `ParsableArguments` asks for; `NodeOptions.parse` gives options that can be read.
  public init() {}

  /// The configuration that these flags describe.
  public func configuration() throws(ValidationFailure) -> ServerConfiguration {
    var configuration = ServerConfiguration(
      id: id, directory: dir, listen: try Self.endpoint(listen, "--listen"),
      peerListen: try Self.endpoint(peerListen, "--peer-listen"), members: try parsedMembers(), preferredLeader: leader,
      cluster: cluster)
    configuration.maximumRequestBytes = try Self.bytes(maximumRequestBytes, "--maximum-request-bytes")
    configuration.segmentBytes = try Self.bytes(segmentBytes, "--segment-bytes")
    configuration.snapshotLogBytes = try Self.bytes(snapshotLogBytes, "--snapshot-log-bytes")
    guard let age = Duration(parsing: snapshotAge) else {
      throw ValidationFailure(ServerConfiguration.wrongAge(snapshotAge))
    }
    if let problem = ServerConfiguration.problem(snapshotAge: age, as: snapshotAge) { throw ValidationFailure(problem) }
    configuration.snapshotAge = age
    configuration.diskBudget = try diskBudget.map { text throws(ValidationFailure) in
      try Self.bytes(text, "--disk-budget")
    }
    configuration.retainedBytes = try Self.bytes(retain, "--retain")
    configuration.changeWindow = try changeWindow.map { text throws(ValidationFailure) in
      try Self.bytes(text, "--change-window")
    }
    configuration.snapshotBytesPerSecond = try Self.bytes(snapshotRate, "--snapshot-rate")
    guard let level = Acknowledgement(minimumAck) else {
      throw ValidationFailure(
        "--minimum-ack '\(minimumAck)' is no level: there are leader, quorum, a number of voters, all and applied")
    }
    configuration.minimumAcknowledgement = level
    configuration.refusesToForward = noForward
    configuration.leaseDrift = try leaseDrift.map { text throws(ValidationFailure) in
      guard let percent = Double(text.hasSuffix("%") ? String(text.dropLast()) : text) else {
        throw ValidationFailure("--lease-drift '\(text)' is no part of a hundred; write it like 1% or 0.1%")
      }
      return percent
    }
    configuration.isDirectoryMoved = movedDirectory
    configuration.replacesDisk = replaceDisk
    if let problem = configuration.problem { throw ValidationFailure(problem) }
    return configuration
  }

  /// Flags that cannot be meant.
  public struct ValidationFailure: Error, Sendable {
    /// What is wrong, and with which flag or line of the file that `--config` names.
    public let message: String
    init(_ message: String) { self.message = message }
  }

  private static func bytes(_ text: String, _ flag: String) throws(ValidationFailure) -> Int {
    guard let count = ByteCount(text) else {
      throw ValidationFailure("\(flag) '\(text)' is no number of bytes; write it like 1048576, 64MiB or 10GB")
    }
    return count.bytes
  }

  private static func endpoint(_ text: String, _ flag: String) throws(ValidationFailure) -> Endpoint {
    guard let endpoint = Endpoint(text) else { throw ValidationFailure("\(flag) '\(text)' is not HOST:PORT") }
    return endpoint
  }

  private func parsedMembers() throws(ValidationFailure) -> [ServerConfiguration.Member] {
    var result: [ServerConfiguration.Member] = []
    for part in members.split(separator: ",", omittingEmptySubsequences: false) {
      guard let equals = part.firstIndex(of: "="), let id = UInt64(part[..<equals]) else {
        throw ValidationFailure("--members has '\(part)', which is not ID=HOST:PORT")
      }
      let endpoint = try Self.endpoint(String(part[part.index(after: equals)...]), "--members")
      result.append(ServerConfiguration.Member(id: id, peerEndpoint: endpoint))
    }
    return result
  }
}
