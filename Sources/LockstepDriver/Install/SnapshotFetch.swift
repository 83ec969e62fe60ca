package import LockstepConsensus
import LockstepStorage
package import LockstepWire

/// Reads one snapshot from whoever has it, and goes on where it was whatever breaks: a connection, a source, this process.
/// Files of one snapshot of a machine in memory are equal on all nodes, so the next source takes over in the middle; where they
/// differ it begins anew. What comes is written as it comes, and believed when all of it was read back. Answers may be late: each is held against what was asked.
package final class SnapshotFetch {
  package struct Options: Sendable {
    /// Of a piece, and how many are asked for, on the way or being written at once: what a fetch has in memory.
    package var pieceBytes = 256 * 1024
    package var window = 32
    /// So much comes in a tick at most, so that what else the network and the disk do goes on.
    package var bytesPerTick = 4 << 20
    /// Without a sign of life a source is given up after so long, and when none is left all are asked again after so long.
    package var patienceTicks = 300
    package var pauseTicks = 20
    package init() {}
  }

  private enum State: Equatable {
    case preparing
    case pausing(ticks: Int)
    case connecting
    case reading
    case restoring
    case dropping
    case over
  }

  private let job: InstallJob
  private let options: Options
  private unowned let port: any FetchPort
  private var state = State.preparing
  /// Which of the sources is asked, and how many have been in vain since anything came.
  private var place = 0
  private var inVain = 0
  private var reason: String?
  /// That was the last time that what came did not fit on the disk.
  private var isWithoutRoom = false
  /// What is read: the last entry that is in it; and of the file, once a source has said so.
  private var index: LogIndex?
  private var fileBytes: Int?
  /// Asked for up to here; come up to here; and pieces that are asked for, and that are being written.
  private var asked = 0
  private var received = 0
  private var onTheWay = 0
  private var writing = 0
  /// The highest of those who have sent some of it.
  private var term = Term.zero
  private var allowance: Int
  private var silence = 0
  private var rate = RateOverTicks()

  package init(_ job: InstallJob, options: Options = Options(), port: any FetchPort) {
    self.job = job
    self.options = options
    self.port = port
    allowance = options.bytesPerTick
    port.run(.prepare(job.group, atLeast: job.atLeast))
  }

  package var source: NodeID { job.sources[place] }

  /// `tickMilliseconds`: how long a tick is.
  package func progress(tickMilliseconds: Int) -> InstallProgress {
    let waitsFor: String? =
      switch state {
      case .preparing: "the disk"
      case .pausing, .dropping: reason ?? "a source"
      case .connecting:
        reason.map { "a connection to node \(source) (before: \($0))" } ?? "a connection to node \(source)"
      case .restoring: "the state to be restored"
      case .reading, .over: nil
      }
    var progress = InstallProgress(
      source: source, index: index, bytes: received, totalBytes: fileBytes ?? 0,
      bytesPerSecond: rate.bytesPerTick * 1000 / max(1, tickMilliseconds), waitsFor: waitsFor)
    progress.isWithoutRoom = isWithoutRoom
    return progress
  }

  /// Nobody needs it any more. What the disk is at is finished, and has no effect.
  package func cancel() {
    guard state != .over else { return }
    if state == .connecting || state == .reading { port.disconnect() }
    let mayHaveWritten = state != .restoring
    state = .over
    if mayHaveWritten { port.run(.drop) }
  }

  // MARK: Sources

  private func connect() {
    // All had come when the connection broke.
    if received == fileBytes { return restore() }
    state = .connecting
    silence = 0
    (asked, onTheWay) = (received, 0)
    port.connect(to: source)
  }

  private func restore() {
    state = .restoring
    port.run(.restore(term))
  }

  /// `hasNothing`: it is there, and has not what was asked for.
  private func giveUpSource(_ why: String, isConnected: Bool, hasNothing: Bool = false) {
    if isConnected { port.disconnect() }
    reason = "node \(source): \(why)"
    place = (place + 1) % job.sources.count
    inVain += 1
    onTheWay = 0
    state = .pausing(ticks: inVain.isMultiple(of: job.sources.count) ? options.pauseTicks : 1)
    port.observe(.installWaits(job.group, reason ?? ""))
    // Nobody has this one any more: another has to do.
    if inVain >= job.sources.count, index != nil, writing == 0, hasNothing { startOver() }
  }

  private func startOver() {
    forget()
    state = .dropping
    port.run(.drop)
  }

  private func forget() {
    (index, fileBytes, asked, received, onTheWay) = (nil, nil, 0, 0, 0)
    term = .zero
  }

  package func connected() {
    guard state == .connecting else { return }
    state = .reading
    silence = 0
    ask()
  }

  package func disconnected(_ why: String) {
    guard state == .connecting || state == .reading else { return }
    giveUpSource(why, isConnected: false)
  }

  // MARK: Pieces

  private func ask() {
    guard state == .reading else { return }
    // How long it is, the first answer says.
    let end = fileBytes ?? (onTheWay == 0 ? received + options.pieceBytes : asked)
    while asked < end, onTheWay + writing < options.window, allowance > 0 {
      let length = min(options.pieceBytes, end - asked)
      port.send(
        SnapshotRead(group: job.group, index: index, atLeast: job.atLeast, offset: asked, length: length))
      asked += length
      onTheWay += 1
      allowance -= length
    }
  }

  package func received(_ part: SnapshotPart) {
    guard state == .reading, part.group == job.group, onTheWay > 0 else { return }
    silence = 0
    onTheWay -= 1
    switch part.outcome {
    case .refused(let why): giveUpSource("has nothing to send: \(why)", isConnected: true, hasNothing: true)
    case .found(let found):
      guard found.offset == received, found.index == index ?? found.index, found.index >= job.atLeast,
        found.fileBytes == fileBytes ?? found.fileBytes, found.data.count <= options.pieceBytes,
        found.offset + found.data.count == min(found.fileBytes, found.offset + options.pieceBytes)
      else {
        // Another file of the same state, as a machine with its own storage may have: of no use for the rest of this one.
        let isOther = found.index == index && fileBytes.map { $0 != found.fileBytes } ?? false
        return giveUpSource(
          "sent \(found.data.count) bytes at \(found.offset) of the \(found.fileBytes) of a snapshot up to entry \(found.index), where \(received) of \(fileBytes ?? 0) of one up to entry \(index ?? job.atLeast) were expected",
          isConnected: true, hasNothing: isOther)
      }
      (index, fileBytes) = (found.index, found.fileBytes)
      asked = min(asked, found.fileBytes)
      received += found.data.count
      rate.count(found.data.count)
      term = max(term, part.term)
      inVain = 0
      reason = nil
      writing += 1
      port.run(.write(job.group, found))
      ask()
    }
  }

  // MARK: The disk

  package func finished(_ result: FetchResult) {
    guard state != .over else {
      if case .failed(let error) = result { port.failed(error) }
      return
    }
    switch result {
    case .prepared(let index, let bytes):
      (self.index, received) = (index, bytes)
      connect()
    case .written:
      writing -= 1
      guard state == .reading else { return }
      if received == fileBytes, writing == 0 {
        port.disconnect()
        restore()
      } else {
        ask()
      }
    case .restored(let snapshot, let applier):
      isWithoutRoom = false
      state = .over
      port.arrived(InstallResult(snapshot: snapshot, term: term, applier: applier))
    case .damaged(let why):
      forget()
      giveUpSource(why, isConnected: false)
    case .noRoom(let why, let isSpace):
      if state == .connecting || state == .reading { port.disconnect() }
      forget()
      writing = max(0, writing - 1)
      reason = why
      // What was on its way comes back as given up, for the same reason.
      if isSpace { isWithoutRoom = true }
      state = .pausing(ticks: options.pauseTicks)
      port.observe(.installWaits(job.group, why))
    case .dropped: state = .pausing(ticks: 1)
    case .failed(let error):
      state = .over
      port.failed(error)
    }
  }

  // MARK: Time

  package func tick() {
    allowance = min(options.bytesPerTick, allowance + options.bytesPerTick)
    rate.tick()
    switch state {
    case .pausing(let ticks):
      if ticks > 1 { state = .pausing(ticks: ticks - 1) } else if writing == 0 { connect() }
    case .connecting, .reading:
      silence += 1
      if silence > options.patienceTicks { giveUpSource("no answer", isConnected: true) } else { ask() }
    case .preparing, .restoring, .dropping, .over: break
    }
  }
}

/// Over about a second of the last ticks.
private struct RateOverTicks {
  private static let weight = 64
  private var counted = 0
  private var average = 0
  var bytesPerTick: Int { average / Self.weight }
  mutating func count(_ bytes: Int) { counted += bytes }
  mutating func tick() {
    average += counted - average / Self.weight
    counted = 0
  }
}
