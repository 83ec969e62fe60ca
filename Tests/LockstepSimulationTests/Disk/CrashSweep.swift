import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepSimulation

/// What a disk must be found to hold.
struct DiskPromise {
  /// One of these: what was stored, or that and the write that was under way.
  var states: [[GroupState]]
  /// A start has a higher one.
  var incarnation: UInt64 = 0
  var peers: [DiskIdentity.Peer] = []
}

/// Starts a node on copies of a disk, as crashes of all kinds have left it.
struct CrashSweep {
  let home: NodeHome
  /// Of each moment, so many random subsets of what was pending.
  let tears: Int
  /// Moments, and different disks that were started from.
  private(set) var moments = 0
  private(set) var images = 0
  /// Starts that had to put something right.
  private(set) var repairs = 0
  private(set) var failures: [String] = []
  private var random = SimulationRandom(seed: 1)

  init(home: NodeHome, tears: Int) {
    self.home = home
    self.tears = tears
  }

  /// The power is cut at this moment, with all outcomes that are different.
  mutating func cut(_ image: SimulatedDisk.Image, _ promise: DiskPromise, _ moment: String) {
    moments += 1
    var seen: [UInt64] = []
    for number in 0..<tears + 2 {
      let cut = number == 0 ? PowerCut.losesAll : number == 1 ? .keepsAll : .keepsAny
      let disk = SimulatedDisk(image, random: SimulationRandom(seed: random.next()))
      disk.powerCut(cut)
      let digest = disk.digest
      if seen.contains(digest) { continue }
      seen.append(digest)
      check(disk, promise, "\(moment), power cut that \(cut.rawValue), number \(number)")
    }
  }

  /// The process is killed at this moment, and then the power is cut while the next one starts, at every operation.
  mutating func cutWhileRecovering(_ image: SimulatedDisk.Image, _ promise: DiskPromise, _ moment: String) {
    let probe = SimulatedDisk(image, random: SimulationRandom(seed: 1))
    var later: [SimulatedDisk.Image] = []
    probe.dies = { _, _ in
      later.append(probe.image())
      return nil
    }
    do { _ = try home.recover(probe, reading: false) } catch { failures.append("\(moment): \(error)") }
    for (number, image) in later.enumerated() { cut(image, promise, "\(moment), then recovery's operation \(number)") }
  }

  /// The process is killed at this moment; an operation of the next start fails, and so ends it; the third one works,
  /// and then the power is cut.
  mutating func failWhileRecovering(_ image: SimulatedDisk.Image, _ promise: DiskPromise, _ moment: String) {
    moments += 1
    var number = 0
    var isOver = false
    while !isOver {
      number += 1
      let disk = SimulatedDisk(image, random: SimulationRandom(seed: random.next()))
      disk.dies = { [unowned disk] _, _ in
        let odds = disk.operations == number ? 1 : 0
        (disk.faults.syncFailed, disk.faults.writeFailed) = (odds, odds)
        return nil
      }
      do {
        _ = try home.recover(disk, reading: false)
        isOver = disk.operations < number
        if isOver { continue }
      } catch { disk.processEnded() }
      disk.dies = nil
      disk.faults = DiskFaults()
      images += 1
      goOn(disk, promise, "\(moment), recovery's operation \(number) failed")
    }
  }

  /// A start, a write, a power cut: the write is there.
  private mutating func goOn(_ disk: SimulatedDisk, _ promise: DiskPromise, _ moment: String) {
    do {
      let process = try home.open(disk)
      var states = process.groups.map(GroupState.init(of:))
      if !promise.states.contains(states) { failures.append("\(moment): found \(states)") }
      guard var group = states.first else { return }
      group.hardState = HardState(term: group.hardState.term.next, vote: home.node, commit: group.hardState.commit)
      var block = EntryBlock(first: group.last.index.next, previousChain: group.lastChain)
      block.append(term: group.hardState.term, kind: .noOperation)
      try process.log.append([LogWrite(group: group.group, hardState: group.hardState, entries: block)])
      (group.last, group.lastChain) = (block.lastID ?? .zero, block.lastChain)
      states[0] = group
      disk.powerCut(.losesAll)
      let found = try home.recover(disk, reading: true)
      if found.groups != states { failures.append("\(moment), then a write: found \(found.groups), not \(states)") }
    } catch {
      failures.append("\(moment), then: \(error)")
    }
  }

  private mutating func check(_ disk: SimulatedDisk, _ promise: DiskPromise, _ moment: String) {
    images += 1
    do {
      let found = try home.recover(disk, reading: images.isMultiple(of: 8))
      if !found.report.notices.isEmpty { repairs += 1 }
      if !promise.states.contains(found.groups) {
        failures.append("\(moment): found \(found.groups), promised \(promise.states)")
      }
      if found.incarnation <= promise.incarnation {
        failures.append("\(moment): incarnation \(found.incarnation) after \(promise.incarnation)")
      }
      for peer in promise.peers
      where !found.peers.contains(where: { $0.disk == peer.disk && $0.incarnation >= peer.incarnation }) {
        failures.append("\(moment): \(peer) is forgotten, \(found.peers) are known")
      }
      // Again, from what the first recovery has made durable.
      let files = disk.logFiles
      disk.powerCut(.losesAll)
      let again = try home.recover(disk, reading: false)
      if again.groups != found.groups || again.peers != found.peers || again.incarnation <= found.incarnation {
        failures.append("\(moment): \(found), and a second time \(again)")
      }
      if !again.report.notices.isEmpty || disk.logFiles != files {
        failures.append("\(moment): the second recovery changes the log: \(again.report.notices)")
      }
    } catch {
      failures.append("\(moment): \(error)")
    }
  }

  /// To be called at the end.
  func report(_ name: String) {
    print("crash sweep, \(name): \(moments) moments, \(images) disks recovered twice, \(repairs) repaired")
    #expect(failures.isEmpty, "\(failures.count) failures; the first: \(failures.first ?? "")")
  }
}

extension PowerCut {
  var rawValue: String {
    switch self {
    case .losesAll: "loses all"
    case .keepsAll: "keeps all"
    case .keepsAny: "keeps anything"
    }
  }
}

extension SimulatedDisk {
  /// Of all names and contents.
  var digest: UInt64 {
    paths.reduce(1) { sum, path in
      Checksum.of(contents(of: path) ?? [], seed: Checksum.of(Array(path.utf8), seed: sum))
    }
  }

  var logFiles: [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for path in paths where path.contains("/log-") { files[path] = contents(of: path) }
    return files
  }
}
