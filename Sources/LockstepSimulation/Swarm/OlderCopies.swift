import LockstepConsensus
import LockstepStorage
import LockstepWire

// Starts with what a node had some time ago, or with copies of what it has.

/// What was set aside of nodes' disks.
struct OlderCopies {
  /// Of the node whose disk may lose what was synced.
  var sound: [SimulatedDisk.Image] = []
  var directories: [(place: Int, image: SimulatedDisk.Image)] = []
  /// And how often the log had been appended to.
  var logs: [(place: Int, appends: Int, image: SimulatedDisk.Image)] = []
}

extension FaultDriver {
  /// Any node: that it must not take part may not depend on what the others have seen of it. Then it gets back its own.
  func startOnCopy(_ node: SimulatedNode) -> Bool {
    guard node.isUp else { return false }
    guard let position = older.directories.firstIndex(where: { $0.place == node.place }) else {
      older.directories.append((node.place, node.disk.image()))
      return false
    }
    let copy = older.directories.remove(at: position).image
    world.end(node.place, keepsMachine: random.oneIn(2))
    let (own, faults, dies) = (node.disk.image(), node.disk.faults, node.disk.dies)
    node.disk.restore(copy, asCopies: true)
    (node.disk.faults, node.disk.dies) = (DiskFaults(), nil)
    let id = NodeID(UInt64(node.place + 1))
    world.books.check(.recovery, isRefused(node.disk, id), "node \(id) starts on a copy of its directory")
    node.disk.restore(own)
    (node.disk.faults, node.disk.dies) = (faults, dies)
    world.planStart(node.place)
    return true
  }

  /// Whether a process of this node does not begin with what this disk has.
  func isRefused(_ disk: SimulatedDisk, _ node: NodeID) -> Bool {
    do throws(StorageError) {
      try open(disk, node).close()
      return false
    } catch { return true }
  }

  private func open(_ disk: SimulatedDisk, _ node: NodeID) throws(StorageError) -> NodeDirectory {
    try NodeDirectory.open(
      disk: disk, path: "data", cluster: world.cluster, node: node, members: world.members,
      newDiskID: { [UInt8](repeating: 1, count: 16) }, options: world.options.log)
  }

  /// It was killed, and its log is an older copy: what it has noted beside it must keep it from starting. Then its operator
  /// puts the latest log back, or gives it up for an empty disk.
  func putBackLog(of node: SimulatedNode) -> Bool {
    guard node.isUp, !node.isUnreliable else { return false }
    guard let position = older.logs.firstIndex(where: { $0.place == node.place }) else {
      older.logs.append((node.place, node.appends, node.disk.image()))
      return false
    }
    let copy = older.logs[position]
    guard copy.appends < node.notedAppends else { return false }
    older.logs.remove(at: position)
    world.end(node.place)
    let (own, faults, dies) = (node.disk.image(), node.disk.faults, node.disk.dies)
    node.disk.putBack("data/log-", of: copy.image)
    (node.disk.faults, node.disk.dies) = (DiskFaults(), nil)
    let id = NodeID(UInt64(node.place + 1))
    let refusal = refusalOfLog(node.disk, id)
    world.tell("node \(id), with an older copy of its log: \(refusal ?? "it starts")")
    world.books.check(.recovery, refusal != nil, "node \(id) starts with an older copy of its log")
    node.disk.restore(own)
    (node.disk.faults, node.disk.dies) = (faults, dies)
    if gives(up: node.place) {
      world.faults.count(.diskReplaced)
      world.replaceDisk(node.place + 1)
    } else {
      world.planStart(node.place)
    }
    return true
  }

  /// What a start of this node says of the log that this disk has, if it says that it is not the one that it had.
  private func refusalOfLog(_ disk: SimulatedDisk, _ node: NodeID) -> String? {
    do throws(StorageError) {
      let directory = try open(disk, node)
      defer { directory.close() }
      try DurableLog.open(directory, options: world.options.log).log.close()
      return nil
    } catch {
      switch error {
      case .damaged, .lost: return "\(error)"
      default: return nil
      }
    }
  }

  /// The directory is what it was some starts ago.
  func rollBack(_ node: SimulatedNode) -> Bool {
    guard let old = older.sound.first else {
      if node.isUp { older.sound.append(node.disk.image()) }
      return false
    }
    older.sound = []
    world.end(node.place, keepsMachine: false)
    node.disk.restore(old)
    world.planStart(node.place)
    return true
  }
}
