import LockstepConsensus
import LockstepStorage
import LockstepWire

extension Replica {
  /// As the disk has it. `applied`: what the machine was restored with.
  init(
    _ configuration: Node.Configuration, _ recovered: RecoveredGroup?, of group: GroupID, applied: LogIndex
  ) throws(WireError) {
    var (members, configurations): (Members, [(index: LogIndex, members: Members)]) = (configuration.members, [])
    if let base = recovered?.base, base.id.index > .zero { members = try Codec.members(from: base.members) }
    for entry in recovered?.configurations ?? [] {
      configurations.append((entry.id.index, try Codec.members(from: entry.payload)))
    }
    // The commit index beside the log is a hint. What is in a snapshot is committed, and so is what was acknowledged.
    var hardState = recovered?.hardState ?? HardState()
    hardState.commit = max(hardState.commit, applied, recovered?.acknowledged ?? .zero)
    self.init(
      Replica.Configuration(
        id: configuration.id, members: members, preferredLeader: configuration.preferredLeader,
        limits: configuration.limits, seed: configuration.seed ^ group.rawValue, disk: configuration.disk,
        isDiskReplaced: configuration.isDiskReplaced),
      hardState: hardState,
      log: Log(base: recovered?.base.id ?? .zero, runs: recovered?.terms ?? [], last: recovered?.last.index ?? .zero),
      configurations: configurations)
  }
}

extension RecoveredGroup {
  /// Of the last entry, if it is in the log.
  var lastTimestamp: UInt64? { tail.last.flatMap { $0.header(at: $0.last) }?.timestamp }
}
