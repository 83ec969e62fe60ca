import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepPeers
import LockstepStorage
import LockstepWire
import Logging

/// What a node finds on its disk at the start.
struct StoredState {
  let identity: PeerIdentity
  let addresses: AddressBook
  let memory: PeerMemory
  let store: PeerStore
  let worker: DiskWorker
  let groups: [RecoveredGroup]
  let snapshots: SnapshotStore
  /// The first group's state, as it is before what the log has behind it, and its last snapshot.
  let state: RecoveredState
  let snapshot: StoredSnapshot?

  static func open(
    _ configuration: ServerConfiguration, on disk: BudgetedDisk, _ machine: HostedMachine, _ logger: Logger
  ) throws(ServerFailure) -> StoredState {
    let options = LogOptions(segmentBytes: configuration.segmentBytes)
    let addresses = AddressBook(
      configuration.members.map {
        DiskIdentity.Member(node: NodeID($0.id), address: $0.peerEndpoint.description)
      })
    do {
      let directory = try NodeDirectory.open(
        disk: disk, path: configuration.directory, cluster: configuration.clusterID,
        node: NodeID(configuration.id),
        members: addresses.members,
        newDiskID: {
          var generator = SystemRandomNumberGenerator()
          return (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
        }, replacesDisk: configuration.replacesDisk, isMoved: configuration.isDirectoryMoved, options: options)
      try disk.recount()
      let (opened, found, report) = try DurableLog.open(directory, options: options)
      // Unsafe: read here for the state, and after that by the disk's worker alone.
      nonisolated(unsafe) let log = opened
      for notice in report.notices { logger.notice("recovery: \(notice)") }
      let snapshots = SnapshotStore(directory)
      let completed = try InstallRecovery(store: snapshots, log: log).complete(
        .first, recovered: found.first { $0.group == .first }
      ) { logger.notice("recovery: \($0)") }
      let groups = found.filter { $0.group != .first } + (completed.map { [$0] } ?? [])
      for group in groups {
        logger.notice(
          "recovered \(group.last.index) entries, the last of term \(group.last.term); term \(group.hardState.term)")
      }
      let recovery = StateRecovery(store: snapshots, log: log) { logger.error("recovery: \($0)") }
      let (state, snapshot) = try recover(
        machine, recovery, configuration.directory, groups.first { $0.group == .first })
      if case .stored(let opened, _, _, _) = state {
        logger.notice("the machine's own storage has the state up to entry \(opened.executor.mark.last.index)")
      } else if let snapshot {
        logger.notice("restored the state up to entry \(snapshot.last.index) from \(snapshot.fileBytes) bytes")
      }
      let identity = PeerIdentity(
        cluster: directory.cluster, node: directory.node, disk: directory.diskID, incarnation: directory.incarnation,
        fingerprint: LockstepVersion.fingerprint(serving: machine.names), start: directory.start,
        members: addresses.nodes,
        standings: groups.map { Standing(group: $0.group, term: $0.hardState.term, last: $0.last) },
        isDiskReplaced: directory.isDiskReplaced, peaceMilliseconds: UInt64(configuration.peaceMilliseconds),
        leaseMilliseconds: configuration.leaseDrift == nil ? 0 : UInt64(configuration.peaceMilliseconds))
      return StoredState(
        identity: identity, addresses: addresses,
        memory: PeerMemory(peers: directory.peers, acknowledged: try directory.acknowledged()),
        store: PeerStore(directory), worker: DiskWorker(log: log, disk: disk), groups: groups,
        snapshots: snapshots, state: state, snapshot: snapshot)
    } catch let error as StorageError {
      throw ServerFailure(error)
    } catch let error as StoredStateFailure {
      switch error {
      case .storage(let error): throw ServerFailure(error)
      case .machine(let error): throw ServerFailure(error)
      }
    } catch { throw ServerFailure(.other, "\(error)") }
  }

  private static func recover(
    _ machine: HostedMachine, _ recovery: StateRecovery, _ directory: String, _ recovered: RecoveredGroup?
  ) throws(StoredStateFailure) -> (RecoveredState, StoredSnapshot?) {
    switch machine {
    case .inMemory(let machine):
      do throws(StorageError) {
        let (executor, snapshot) = try recovery.restore(.first, first: machine, recovered: recovered)
        return (.inMemory(executor, first: machine), snapshot)
      } catch { throw .storage(error) }
    case .stored(let machine):
      let directories = StateDirectories(directory, group: .first)
      let (opened, snapshot) = try recovery.open(.first, machine, in: directories, recovered: recovered)
      if let gap = opened.gap { recovery.notice(gap) }
      do throws(StoredMachineFailure) {
        let readers = try StoredApplier.readers(of: opened.executor)
        return (.stored(opened, readers, machine, directories), snapshot)
      } catch {
        opened.executor.state.close()
        throw .machine(error)
      }
    }
  }
}

/// A group's state at a start.
enum RecoveredState {
  /// `first`: the machine as it is before the first command.
  case inMemory(Executor, first: any StateMachine)
  case stored(OpenedState, [any StoredStateReader], any StoredMachine, StateDirectories)
}

/// Where what is remembered of the other nodes is kept; used on the disk thread only.
final class PeerStore: @unchecked Sendable {
  // Unchecked: made before the disk thread starts, and touched by its tasks alone after that.
  private let directory: NodeDirectory

  init(_ directory: NodeDirectory) { self.directory = directory }

  /// Durable when this returns.
  func store(_ peers: [DiskIdentity.Peer]) throws(StorageError) { try directory.store(peers: peers) }

  /// Does not wait for the disk.
  func store(_ acknowledged: [Acknowledged]) throws(StorageError) { try directory.store(acknowledged: acknowledged) }

  func close() { directory.close() }
}

extension ServerFailure {
  init(_ error: StoredMachineFailure) {
    let kind: Kind =
      switch error.kind {
      case .storage: .machine
      case .damaged: .damaged
      case .refused: .identity
      }
    self.init(kind, error.message)
  }
}

extension ServerConfiguration {
  func node(_ identity: PeerIdentity) -> Node.Configuration {
    var configuration = Node.Configuration(
      id: NodeID(id), members: Members(voters: members.map { NodeID($0.id) }),
      addresses: members.map {
        DiskIdentity.Member(node: NodeID($0.id), address: $0.peerEndpoint.description)
      }.sorted { $0.node < $1.node },
      preferredLeader: preferredLeader.map { NodeID($0) }, cluster: identity.cluster, limits: limits,
      driver: driver,
      // Another one at each start, and on each node: only the time-outs depend on it.
      seed: id << 32 ^ identity.incarnation ^ WallClock.now())
    configuration.disk = identity.disk
    configuration.isDiskReplaced = identity.isDiskReplaced
    return configuration
  }

  /// 16 bytes that stand for the cluster's name; nil: whatever the directory says.
  fileprivate var clusterID: [UInt8]? {
    guard let cluster else { return nil }
    let bytes = Array(cluster.utf8)
    return [UInt64(1), 2].flatMap { seed in
      withUnsafeBytes(of: Checksum.of(bytes, seed: seed).littleEndian) { Array($0) }
    }
  }
}
