import Lockstep
import LockstepWire

/// What `--version` says: version, commit, and the formats in which this program speaks and stores.
enum VersionText {
  static let text = """
    lockstep \(LockstepVersion.current) (commit \(CommitOfBuild.name))
    protocols: clients \(range(WireVersion.oldest, WireVersion.current)), nodes \
    \(range(PeerVersion.oldest, PeerVersion.current)); records on disk: LKR1
    """

  private static func range(_ oldest: UInt32, _ current: UInt32) -> String {
    oldest == current ? "\(current)" : "\(oldest) to \(current)"
  }
}
