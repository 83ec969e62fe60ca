import LockstepDriver
import LockstepStorage
import LockstepWire

// Processes that end in order, and what may become of their logs while they are down.

extension World {
  /// What was given to the disk is done, the log is closed, and the process ends. Says whether the log has noted a new
  /// end, which it has not when a disk fails, or the process dies, in the middle of it.
  @discardableResult
  package func endInOrder(_ id: Int) -> Bool {
    let simulated = nodes[id - 1]
    guard simulated.isUp, let worker = simulated.worker, let directory = simulated.directory else { return false }
    let before = directory.identity.cleanStop
    for job in simulated.jobs { _ = run(job, id - 1) }
    do throws(StorageError) { try worker.close() } catch { tell("node \(id) cannot stop in order: \(error)") }
    let isInOrder = directory.identity.cleanStop != before
    tell("node \(id) ends\(isInOrder ? " in order" : ", and its log has noted no new end")")
    end(id - 1)
    return isInOrder
  }

  /// Zeros over the end of the log of a node that has stopped in order: over its seal, and up to so many bytes before it.
  /// False when no byte of a record was another.
  package func loseEndOfLog(_ id: Int, upTo bytes: Int) -> Bool {
    let disk = nodes[id - 1].disk
    let logs = disk.paths.filter { $0.hasPrefix("data/log-") && !$0.hasSuffix(".new") }
    for path in logs.sorted().reversed() {
      guard let contents = disk.contents(of: path), let last = contents.lastIndex(where: { $0 != 0 }) else { continue }
      let seal = last / 64 * 64
      let start = max(0, seal - bytes)
      guard contents[start..<seal].contains(where: { $0 != 0 }) else { return false }
      nodes[id - 1].beforeDamage = disk.image()
      disk.zero(start..<last + 1, in: path)
      tell("the end of the log of node \(id) is lost: bytes \(start) to \(last) of \(path)")
      return true
    }
    return false
  }

  /// A start has named the damage. False when there was none.
  func putBackEndOfLog(_ place: Int) -> Bool {
    guard let image = nodes[place].beforeDamage else { return false }
    nodes[place].beforeDamage = nil
    nodes[place].disk.restore(image)
    tell("the log of node \(place + 1) is what it was when the node stopped")
    return true
  }
}
