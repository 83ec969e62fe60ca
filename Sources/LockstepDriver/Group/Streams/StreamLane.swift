import LockstepConsensus
import LockstepExecution
import LockstepRequests

/// Those who follow the changes of one group at this node: each gets what is carried out here from its own place on, as fast
/// as it grants credit and reads.
final class StreamLane {
  private let context: NodeContext
  private let group: GroupID
  private var window: ChangeWindow
  private var streams: [OpenStream] = []
  /// The same, by whom they are of.
  private var byKey: [OpenStream.Key: OpenStream] = [:]
  /// In some there may be something to do.
  private(set) var isDue = false
  /// Who comes first in the next turn.
  private var turn = 0
  /// Since when no leader is known.
  private var leaderless: UInt64?
  private static let leaderPatience: UInt64 = 3_000_000_000
  /// So seldom it is looked whether those that had no room have some: there may be many.
  private static let ticksBetweenLooks: UInt64 = 10
  private var ticks: UInt64 = 0
  /// That may still be looked at in this turn, by all streams together.
  private var changesLeft = 0

  init(group: GroupID, context: NodeContext, applied: LogIndex) {
    self.group = group
    self.context = context
    window = ChangeWindow(
      maximumBytes: context.limits.changeBytes, isAlwaysKept: context.limits.keepsChanges, applied: applied)
  }

  /// Commands are to be noted as they are carried out, with their replies.
  var isRecording: Bool { window.isKept }
  var count: Int { streams.count }
  /// The first entry whose change is there; nil: none is kept.
  var first: LogIndex? { window.isKept ? window.first : nil }

  // MARK: Those who follow

  func open(_ request: StreamRequest, id: UInt64, _ writer: any StreamWriter, _ lane: ApplyLane) throws(CallStatus) {
    guard window.isOffered else {
      throw CallStatus(
        .failedPrecondition, "node \(context.id) keeps no changes: it was started with --change-window 0")
    }
    guard streams.count < context.limits.streams else {
      throw CallStatus(
        .resourceExhausted, "node \(context.id) has \(streams.count) streams open, as many as it takes; ask another one"
      )
    }
    guard request.payload.count <= context.limits.streamRequestBytes else {
      throw CallStatus(
        .invalidArgument,
        "the request has \(request.payload.count) bytes, and that of a stream, which is kept, at most \(context.limits.streamRequestBytes)"
      )
    }
    guard byKey[OpenStream.Key(writer, id)] == nil else {
      throw CallStatus(.invalidArgument, "stream \(id) is open on this connection already")
    }
    let source = try lane.stream(MethodCall(method: request.method, request: request.payload))
    window.follow(context.now, submitted: lane.submitted)
    lane.record(true)
    let stream = OpenStream(id, writer, source, credit: request.credit)
    // What is being carried out now is not noted where nothing was before.
    let now = max(lane.applied, window.last).next
    if let from = request.from {
      stream.next = from
    } else {
      switch source.start {
      case .now: stream.next = now
      case .from(let index): stream.next = max(index, .zero.next)
      case .state:
        guard let copy = lane.copy(), copy.last.index.next >= window.first else {
          throw CallStatus(
            .failedPrecondition, "node \(context.id) cannot give the state just now: ask again, or another node")
        }
        stream.begins(with: copy)
      }
    }
    streams.append(stream)
    byKey[stream.key] = stream
    isDue = true
  }

  /// The client has taken so many bytes.
  func credit(_ bytes: Int, to id: UInt64, _ writer: any StreamWriter) {
    guard bytes >= 0, let stream = byKey[OpenStream.Key(writer, id)] else { return }
    // Nothing: the client wants to know that somebody is here.
    if bytes == 0 { stream.isAsked() }
    stream.credit = min(stream.credit + min(bytes, OpenStream.maximumCredit), OpenStream.maximumCredit)
    isDue = true
  }

  /// Returns whether it was open.
  func cancel(_ id: UInt64, _ writer: any StreamWriter) -> Bool {
    guard let stream = byKey[OpenStream.Key(writer, id)] else { return false }
    remove { $0 === stream }
    return true
  }

  /// The connection is gone.
  func closed(_ writer: any StreamWriter) {
    if !streams.isEmpty { remove { $0.writer === writer } }
  }

  private func remove(_ isMeant: (OpenStream) -> Bool) {
    streams.removeAll { stream in
      guard isMeant(stream) else { return false }
      byKey[stream.key] = nil
      return true
    }
  }

  /// The node is to be stopped: another one goes on with them.
  func endAll(_ status: CallStatus, leader: NodeID?) {
    for stream in streams { end(stream, status, at: stream.isAmidState ? .zero : stream.next, leader) }
    remove { _ in true }
  }

  // MARK: What happens

  /// Entries up to `applied` were carried out.
  func carriedOut(_ lane: ApplyLane) {
    guard window.isKept else { return }
    let changes = lane.takeChanges()
    guard lane.applied > window.last else { return }
    window.add(changes, applied: lane.applied, now: context.now, mayEnd: lane.isCaughtUp && streams.isEmpty)
    if !window.isKept { lane.record(false) }
    if !streams.isEmpty { isDue = true }
  }

  /// Another state has taken the place of this one.
  func reset(to applied: LogIndex) {
    window.begin(behind: applied)
    isDue = !streams.isEmpty
  }

  /// Time has passed. Returns whether there is something to do.
  func tick(leader: NodeID?) -> Bool {
    if leader != nil { leaderless = nil }
    guard !streams.isEmpty else { return false }
    if leader == nil { endIfLeaderless() }
    ticks &+= 1
    guard ticks.isMultiple(of: Self.ticksBetweenLooks) else { return false }
    window.follow(context.now, submitted: window.last)
    isDue = true
    return true
  }

  /// Whoever is cut off from the leader hears of nothing more: others may.
  private func endIfLeaderless() {
    let since = leaderless ?? context.now
    leaderless = since
    guard context.now >= since &+ Self.leaderPatience else { return }
    leaderless = nil
    endAll(
      CallStatus(.unavailable, "node \(context.id) knows of no leader, and hears of nothing more"), leader: nil)
  }

  /// Tells those who have granted credit what there is, up to the limits of a turn. Returns whether there is more.
  func deliver(leader: NodeID?) -> Bool {
    guard isDue else { return false }
    isDue = false
    var budget = context.limits.answerBytes
    changesLeft = context.limits.changesInATurn
    var ended: [ObjectIdentifier] = []
    for place in streams.indices {
      guard budget > 0, changesLeft > 0 else {
        // Who was not looked at comes first the next time.
        turn = (turn + place) % streams.count
        isDue = true
        break
      }
      let stream = streams[(turn + place) % streams.count]
      do throws(CallStatus) { budget -= try deliver(stream, atMost: budget) } catch {
        end(stream, error, at: error.code == .outOfRange ? window.first : stream.next, leader)
        ended.append(ObjectIdentifier(stream))
      }
    }
    if !ended.isEmpty {
      let gone = Set(ended)
      remove { gone.contains(ObjectIdentifier($0)) }
    }
    return isDue
  }

  /// Returns how many bytes were told.
  private func deliver(_ stream: OpenStream, atMost budget: Int) throws(CallStatus) -> Int {
    guard stream.writer.hasRoom else {
      try stream.checkStalled(context.now)
      return 0
    }
    if stream.isAmidState { return try deliverState(stream, atMost: budget) }
    var items: [StreamItem] = []
    var bytes = 0
    if stream.credit > 0 {
      var (looked, frameBytes) = (0, 0)
      var tooLong: StreamItem?
      let next = window.forEach(from: stream.next) { change in
        let payloads = stream.source.events(change)
        if !payloads.isEmpty {
          let item = StreamItem(index: change.index, term: change.term, payloads: payloads)
          // With those before it, it may go into the next frame.
          guard frameBytes + item.frameBytes <= stream.writer.maximumReplyBytes else {
            tooLong = item
            return false
          }
          bytes += item.credit
          frameBytes += item.frameBytes
          items.append(item)
        }
        looked += 1
        return bytes < min(stream.credit, budget) && looked < min(context.limits.changesAtOnce, changesLeft)
      }
      changesLeft -= looked
      guard let next else { throw gone(stream) }
      if next <= window.last || tooLong != nil { isDue = true }
      stream.next = max(stream.next, tooLong?.index ?? next)
      if let tooLong, items.isEmpty {
        stream.next = tooLong.index.next
        throw CallStatus(
          .resourceExhausted,
          "entry \(tooLong.index) has \(tooLong.credit) bytes for this stream, more than fit in a frame: go on behind it"
        )
      }
    } else if stream.next < window.first {
      throw gone(stream)
    }
    tell(stream, items, bytes)
    return bytes
  }

  private func deliverState(_ stream: OpenStream, atMost budget: Int) throws(CallStatus) -> Int {
    var bytes = 0
    while stream.isAmidState {
      guard stream.credit > 0 else {
        try stream.checkStalled(context.now)
        // Who asks whether somebody is here is told so.
        tell(stream, [], 0)
        break
      }
      guard bytes < budget, let part = try stream.nextPart() else {
        isDue = true
        break
      }
      guard part.frameBytes <= stream.writer.maximumReplyBytes else {
        throw CallStatus(
          .resourceExhausted, "a part of the state has \(part.frameBytes) bytes, more than fit in a frame")
      }
      bytes += part.credit
      if part.payloads.isEmpty { tell(stream, [], 0) } else { tell(stream, [part], part.credit) }
    }
    if !stream.isAmidState { isDue = true }
    return bytes
  }

  private func tell(_ stream: OpenStream, _ items: [StreamItem], _ bytes: Int) {
    guard !items.isEmpty || stream.isReportDue(context.now) else { return }
    stream.credit -= bytes
    stream.isTold(context.now)
    context.answers.write(items, of: stream.id, to: stream.writer, next: stream.isAmidState ? nil : stream.next)
  }

  private func gone(_ stream: OpenStream) -> CallStatus {
    CallStatus(
      .outOfRange,
      "node \(context.id) has no change before entry \(window.first) any more, and \(stream.next) comes next: begin there, or with the state"
    )
  }

  private func end(_ stream: OpenStream, _ status: CallStatus, at index: LogIndex, _ leader: NodeID?) {
    context.answers.end(stream.id, stream.writer, status, at: index, leader: leader)
  }

  // MARK: Invariants

  func check(submitted: LogIndex) {
    window.check(submitted: submitted)
    precondition(byKey.count == streams.count, "streams that nobody finds")
    precondition(streams.isEmpty || window.isKept, "a stream of changes that nobody notes")
  }
}
