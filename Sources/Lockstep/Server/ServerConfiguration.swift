package import LockstepConsensus
package import LockstepDriver
public import LockstepRequests
import LockstepWire

/// What a node needs to know to start.
public struct ServerConfiguration: Sendable {
  /// A voter that the cluster begins with.
  public struct Member: Codable, Hashable, Sendable {
    /// Its number, from 1.
    public var id: UInt64
    /// Where its peers reach it.
    public var peerEndpoint: Endpoint

    /// Takes both as they are: a configuration's `validate` checks them, with all others.
    public init(id: UInt64, peerEndpoint: Endpoint) {
      self.id = id
      self.peerEndpoint = peerEndpoint
    }
  }

  /// This node's number, from 1.
  public var id: UInt64
  /// Where its data lies.
  public var directory: String
  /// Where clients connect.
  public var listen: Endpoint
  /// Where the other nodes connect.
  public var peerListen: Endpoint
  /// All voters, this node among them, and where their peers reach them.
  public var members: [Member]
  /// The node that leads when it can; nil: any.
  public var preferredLeader: UInt64?
  /// Names the cluster, so that nodes of two clusters never talk; nil: taken from the members at the first start, and
  /// from the directory after that.
  public var cluster: String?
  /// Bytes of the largest request that is taken.
  public var maximumRequestBytes: Int
  /// Bytes of one segment file of the log.
  public var segmentBytes: Int
  /// Log behind the last snapshot that leads to the next one, in bytes; a snapshot that is larger itself waits for as much
  /// log as it has bytes.
  public var snapshotLogBytes: Int
  /// What the node's directory may take of the disk, in bytes; nil: nine tenths of what its file system has for it, its own
  /// files and what is free. Beyond that no commands are taken, until there is room again.
  public var diskBudget: Int?
  /// Log that may gather while a member that is behind holds up its beginning: after that it gets a snapshot. In bytes.
  public var retainedBytes: Int
  /// What this node fetches of another's snapshot in a second, at most. In bytes.
  public var snapshotBytesPerSecond: Int
  /// Changes that are kept in memory for those who follow them, in bytes; 0: none are, and nobody can. Nil: 32 MiB, from the
  /// start until they are full, and from then on while somebody follows them and for ten minutes after that.
  public var changeWindow: Int?
  /// A snapshot that is older is followed by another, if anything was applied since.
  public var snapshotAge: Duration
  /// Commands that ask for less are acknowledged at this level, by the node that leads: the same on all nodes.
  public var minimumAcknowledgement = Acknowledgement.leader
  /// While another node leads, commands are refused, with its number, instead of being passed on to it.
  public var refusesToForward = false
  /// The most by which the rates of two nodes' clocks differ, in per cent: with that a leader answers reads at level `lease`
  /// for as long as the others leave it in peace, without asking any of them. Nil: no node may do so. The same on all nodes;
  /// a clock that drifts by more makes such reads stale.
  public var leaseDrift: Double?
  /// One unit of the core's time, in milliseconds.
  public var tickMilliseconds: Int
  /// The directory is a copy of the node's latest one, and replaces it; without this word a copy is refused, as it may be
  /// an older one. For one start.
  public var isDirectoryMoved = false
  /// The directory is a new one, in place of one that is lost for good: the node takes part as a learner until it has all
  /// that the lost one may have promised, and votes after that. Refused for a directory in which the node has worked,
  /// unless it was made so; then it changes nothing more.
  public var replacesDisk = false

  private var roomForProposed = DriverLimits().roomForProposed
  private var diskBytes: Int?

  package var limits: Limits {
    get {
      var limits = ownLimits
      limits.leases = leaseDrift == nil ? .allowed : .served
      return limits
    }
    set { ownLimits = newValue }
  }
  private var ownLimits = Limits()

  /// The least time for which this node leaves a leader in peace that it has heard, by its own clock. In milliseconds.
  package var peaceMilliseconds: Int { Replica.peacefulTicks(limits) * tickMilliseconds }

  package var driver: DriverLimits {
    var limits = DriverLimits()
    limits.requestBytes = maximumRequestBytes
    limits.snapshotLogBytes = snapshotLogBytes
    limits.retainedBytes = retainedBytes
    limits.measureEvery = 500_000_000
    limits.minimumAcknowledgement = minimumAcknowledgement
    limits.refusesToForward = refusesToForward
    limits.roomForProposed = roomForProposed
    if let changeWindow { (limits.changeBytes, limits.keepsChanges) = (changeWindow, true) }
    limits.diskBytes = diskBytes
    if let leaseDrift { limits.leaseTime = UInt64(Double(peaceMilliseconds) * 1_000_000 * (1 - leaseDrift / 100)) }
    let (seconds, attoseconds) = snapshotAge.components
    limits.snapshotAge = UInt64(clamping: seconds) * 1_000_000_000 + UInt64(clamping: attoseconds / 1_000_000_000)
    return limits
  }

  /// A configuration whose other values are defaults: requests of up to 1 MiB, segments of 64 MiB, a snapshot after 512
  /// MiB of log or 6 hours, 64 MiB of log retained, 512 MiB of a snapshot fetched a second, ticks of 10 ms, and no disk
  /// budget. Nothing is checked here: `validate` does that.
  public init(
    id: UInt64, directory: String, listen: Endpoint, peerListen: Endpoint,
    members: [Member], preferredLeader: UInt64? = nil, cluster: String? = nil
  ) {
    self.id = id
    self.directory = directory
    self.listen = listen
    self.peerListen = peerListen
    self.members = members
    self.preferredLeader = preferredLeader
    self.cluster = cluster
    maximumRequestBytes = 1024 * 1024
    segmentBytes = 64 * 1024 * 1024
    snapshotLogBytes = 512 * 1024 * 1024
    retainedBytes = 64 * 1024 * 1024
    snapshotBytesPerSecond = 512 * 1024 * 1024
    snapshotAge = .seconds(6 * 3600)
    tickMilliseconds = 10
  }

  /// Throws a failure that names what is wrong with it, if anything is. A start does the same.
  public func validate() throws(ServerFailure) {
    if let problem { throw ServerFailure(.configuration, problem) }
  }

  /// What is wrong with it, in words, or nil.
  package var problem: String? {
    let ids = members.map(\.id)
    if ids.isEmpty { return "there are no members" }
    if ids.contains(0) { return "node numbers begin at 1" }
    if Set(ids).count != ids.count { return "a node number occurs twice among the members" }
    if members.count > 64 { return "there are \(members.count) members, at most 64 are supported" }
    if Set(members.map(\.peerEndpoint)).count != members.count { return "two members have the same address" }
    if let member = members.first(where: { Endpoint($0.peerEndpoint.description) == nil }) {
      return "the address of node \(member.id), '\(member.peerEndpoint)', is not HOST:PORT"
    }
    let listed = ids.map(String.init).joined(separator: ", ")
    if !ids.contains(id) { return "node \(id) is not among the members (\(listed))" }
    if let preferredLeader, !ids.contains(preferredLeader) {
      return "the leader \(preferredLeader) is not among the members (\(listed))"
    }
    if directory.isEmpty { return "the directory has no name" }
    if maximumRequestBytes < 1 || maximumRequestBytes > PeerFrame.maximumRequestBytes {
      return "a request limit of \(maximumRequestBytes) bytes is not between 1 and 64 MiB"
    }
    if segmentBytes < 1024 * 1024 || segmentBytes > 4 * 1024 * 1024 * 1024 {
      return "a segment size of \(segmentBytes) bytes is not between 1 MiB and 4 GiB"
    }
    if let diskBudget, !Self.budgetRange.contains(diskBudget) {
      let (least, most) = (Self.budgetRange.lowerBound, Self.budgetRange.upperBound)
      return "--disk-budget \(diskBudget) is not between \(least) (64 MiB) and \(most) (1 PiB)"
    }
    if case .voters(let count) = minimumAcknowledgement, !(1...members.count).contains(count) {
      return "--minimum-ack \(count): there are \(members.count) members"
    }
    if let leaseDrift, !(leaseDrift > 0 && leaseDrift <= 50) {
      return "--lease-drift \(leaseDrift): the clocks differ by more than 0 and at most 50 per cent"
    }
    if retainedBytes < 0 { return "--retain \(retainedBytes) is less than nothing" }
    if snapshotBytesPerSecond < 1024 * 1024 {
      return "--snapshot-rate \(snapshotBytesPerSecond) is less than 1048576 (1 MiB) a second"
    }
    if !Self.snapshotLogRange.contains(snapshotLogBytes) {
      let (least, most) = (Self.snapshotLogRange.lowerBound, Self.snapshotLogRange.upperBound)
      return "--snapshot-log-bytes \(snapshotLogBytes) is not between \(least) (64 KiB) and \(most) (1 TiB)"
    }
    if let problem = Self.problem(snapshotAge: snapshotAge, as: "\(snapshotAge)") { return problem }
    if tickMilliseconds < 1 || tickMilliseconds > 10_000 {
      return "a tick of \(tickMilliseconds) ms is not between 1 and 10000"
    }
    return limits.problem
  }

  private static let snapshotLogRange = 64 << 10...1 << 40
  private static let budgetRange = 64 << 20...1 << 50

  /// With files of a size for a disk of which so many bytes may be used: a segment before those that are needed, the one
  /// that is written and the one behind it, and the rest for log and snapshots.
  func fitted(to limit: Int) -> ServerConfiguration {
    var fitted = self
    fitted.segmentBytes = min(segmentBytes, max(1 << 20, limit / 16))
    fitted.retainedBytes = min(retainedBytes, limit / 8)
    // A leader that hears nothing of the others proposes so much, and those that were short of room meanwhile have to take it:
    // otherwise it would never be committed, and no snapshot could make room. One request has room in any case.
    let request = min(maximumRequestBytes, limit / 8)
    fitted.roomForProposed = min(limits.uncommittedBytes, max(1 << 20, limit / 64, request))
    fitted.limits.uncommittedBytes = fitted.roomForProposed
    // On a disk that is nearly full the rest is for the refusal to find.
    fitted.diskBytes = max(16 << 20, limit - limit / 64 - 3 * fitted.segmentBytes - fitted.roomForProposed)
    return fitted
  }

  /// `text`: as somebody wrote it.
  package static func problem(snapshotAge: Duration, as text: String) -> String? {
    if snapshotAge >= .seconds(1), snapshotAge <= .seconds(366 * 86_400) { return nil }
    return wrongAge(text)
  }

  package static func wrongAge(_ text: String) -> String {
    "--snapshot-age '\(text)' is no time between 1s and 8784h (366 days); write it like 30m or 6h"
  }
}
