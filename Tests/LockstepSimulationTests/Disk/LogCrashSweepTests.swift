import LockstepStorage
import Testing

@testable import LockstepSimulation

@Suite("crash sweep: one log")
struct LogCrashSweepTests {
  private var home: NodeHome {
    var home = NodeHome()
    home.options.firstSegmentBytes = 8 << 10
    home.options.segmentBytes = 16 << 10
    home.options.indexSpacing = 2 << 10
    return home
  }

  /// The life of a log: it is made, written to, sealed, prepared ahead, closed, opened again, and meets peers.
  private func live(_ node: StoredNode, appends: Int, seed: UInt64) throws {
    var random = SimulationRandom(seed: seed).stream("life")
    #expect(try node.start())
    while node.appends < appends {
      try node.appendSomething()
      if random.oneIn(6) { try node.log?.seal() }
      if random.oneIn(6) { try node.log?.markSynced() }
      if random.oneIn(4) { _ = try node.log?.prepareNextSegment(maximumBytes: 3000) }
      if random.oneIn(60) { try node.meetPeer(UInt64(node.appends)) }
      if random.oneIn(80) {
        if random.oneIn(2) { try node.stop() } else { node.disk.processEnded() }
        #expect(try node.start())
      }
    }
    try node.stop()
  }

  @Test("crash sweep: writes, and the power is cut before and after each write, sync and change of a name")
  func everyOperation() throws {
    let node = StoredNode(home, seed: 1)
    var sweep = CrashSweep(home: home, tears: 8)
    node.disk.dies = { operation, path in
      let promise = DiskPromise(
        states: [node.stored, node.begun], incarnation: node.incarnation, peers: node.peers)
      sweep.cut(node.disk.image(), promise, "operation \(node.disk.operations), before \(operation) of \(path)")
      return nil
    }
    let appends = extent(quick: 120, full: 400)
    try live(node, appends: appends, seed: 1)
    sweep.cut(node.disk.image(), DiskPromise(states: [node.stored], incarnation: node.incarnation), "the end")
    let segments = node.disk.paths.count { $0.contains("/log-") }
    #expect(node.appends == appends && segments > 1)
    #expect(sweep.images > 5 * appends)
    sweep.report("one log")
  }

  @Test("crash sweep: the process is killed, and the power is cut at every operation of the recovery")
  func duringRecovery() throws {
    let node = StoredNode(home, seed: 2)
    var sweep = CrashSweep(home: home, tears: 3)
    node.disk.dies = { operation, path in
      guard node.disk.operations.isMultiple(of: 13) else { return nil }
      let promise = DiskPromise(states: [node.stored, node.begun], incarnation: node.incarnation, peers: node.peers)
      let moment = "operation \(node.disk.operations), before \(operation) of \(path)"
      sweep.cutWhileRecovering(node.disk.image(), promise, moment)
      let torn = SimulatedDisk(node.disk.image(), random: SimulationRandom(seed: UInt64(node.disk.operations)))
      torn.powerCut(.keepsAny)
      sweep.cutWhileRecovering(torn.image(), promise, "\(moment), power cut")
      return nil
    }
    try live(node, appends: extent(quick: 50, full: 150), seed: 2)
    #expect(sweep.images > extent(quick: 150, full: 500))
    sweep.report("during recovery")
  }

  @Test("crash sweep: the process is killed, an operation of the recovery fails, and the start after that goes on")
  func failureInRecovery() throws {
    let node = StoredNode(home, seed: 3)
    var sweep = CrashSweep(home: home, tears: 0)
    node.disk.dies = { operation, path in
      guard node.disk.operations.isMultiple(of: 3) else { return nil }
      let promise = DiskPromise(states: [node.stored, node.begun], incarnation: node.incarnation, peers: node.peers)
      let torn = SimulatedDisk(node.disk.image(), random: SimulationRandom(seed: UInt64(node.disk.operations)))
      torn.powerCut(.keepsAny)
      let moment = "operation \(node.disk.operations), before \(operation) of \(path)"
      sweep.failWhileRecovering(node.disk.image(), promise, moment)
      sweep.failWhileRecovering(torn.image(), promise, "\(moment), power cut")
      return nil
    }
    try live(node, appends: extent(quick: 50, full: 150), seed: 3)
    #expect(sweep.images > extent(quick: 150, full: 500))
    sweep.report("failures during recovery")
  }
}
