import LockstepConsensus
import LockstepRequests
import LockstepTransport
import LockstepWire
import NIOCore

// Streams: each is open at the node that the client is connected to, and opened again at the next one when that is lost.

extension ClientCore {
  /// A node from which nothing has come for so long is asked for a sign of life, and after so long again given up.
  private static let silence = TimeAmount.seconds(3)
  static let watchEvery = TimeAmount.milliseconds(250)

  func open(_ stream: ClientStream) {
    if case .closed = state { return stream.end(CallFailure(Self.isClosed, applied: .no)) }
    guard !endpoints.isEmpty else {
      return stream.end(CallFailure(CallStatus(.failedPrecondition, "the client was given no endpoints"), applied: .no))
    }
    streams.append(stream)
    if streamWatch == nil {
      streamWatch = RepeatingTimer(on: eventLoop, every: Self.watchEvery) { self.watchStreams() }
    }
    goOnWithStreams()
  }

  func cancel(_ stream: ClientStream) {
    finish(stream, CallFailure(CallStatus(.cancelled, "the stream was cancelled"), applied: .no))
  }

  func grant(_ bytes: Int, to stream: ClientStream) {
    guard case .open(let connection, let id) = stream.place else { return }
    codec.pack(streamCredit: id, bytes: bytes)
    push(.streamCredit, over: connection)
  }

  func closeStreams() {
    for stream in streams { stream.end(CallFailure(Self.isClosed, applied: .no)) }
    streams = []
    streamWatch?.stop()
    streamWatch = nil
  }

  private static let isClosed = CallStatus(.cancelled, "the client was closed")

  /// Those that wait are opened where the client is connected, or it connects.
  func goOnWithStreams() {
    switch state {
    case .ready(_, let connection):
      for stream in streams { if case .waiting = stream.place { send(stream, over: connection) } }
    case .idle where retry == nil: connect()
    case .idle, .connecting, .closed: break
    }
  }

  private func send(_ stream: ClientStream, over connection: Connection) {
    guard connection.isOpen else { return }
    let id = takeID()
    var method = stream.method
    method.withUTF8 { method in
      stream.request.withUnsafeBytes { request in
        codec.pack(
          StreamRequest(
            group: GroupID(0), method: UnsafeRawBufferPointer(method), payload: request, from: stream.next,
            credit: stream.credit()), id: id)
      }
    }
    guard push(.stream, over: connection) else { return }
    stream.place = .open(connection, id: id)
    stream.opened = .now()
    stream.lastHeard = .now()
    stream.isAsked = false
  }

  @discardableResult
  private func push(_ kind: FrameKind, over connection: Connection) -> Bool {
    let result = codec.packed.withUnsafeBytes {
      connection.send(kind: kind.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    connection.flush()
    return result == .queued
  }

  // MARK: Answers

  func received(_ items: StreamItems, from connection: Connection) {
    stream(items.id, connection)?.received(items, of: history)
  }

  func ended(_ reply: CallReply, from connection: Connection) {
    guard let stream = stream(reply.id, connection) else { return }
    let code = CallStatus.Code(rawValue: UInt8(clamping: reply.code)) ?? .unknown
    // Not kept here any more, or too many here: the others are asked once each.
    let mayBeElsewhere = code == .outOfRange || code == .resourceExhausted && reply.index == 0
    let isElsewhere = mayBeElsewhere && stream.outOfRange + 1 < endpoints.count
    guard code == .unavailable || isElsewhere else {
      var failure = CallFailure(CallStatus(code, reply.message), applied: .no, node: NodeID(reply.node))
      failure.index = LogIndex(reply.index)
      return finish(stream, failure)
    }
    if isElsewhere { stream.outOfRange += 1 }
    wait(stream, reply.message)
    // The others may have it; calls go where they went.
    moveStreams(from: connection)
  }

  /// The next endpoint is tried, unless calls are under way here.
  private func moveStreams(from connection: Connection) {
    guard case .ready(let link, let current) = state, current === connection else { return }
    leaving.append((link, connection))
    place = (place + 1) % endpoints.count
    state = .idle
    endIfAnswered(connection)
  }

  func streamsLost(with connection: Connection, _ status: CallStatus) {
    for stream in streams {
      if case .open(let its, _) = stream.place, its === connection { wait(stream, status.message) }
    }
  }

  private func stream(_ id: UInt64, _ connection: Connection) -> ClientStream? {
    streams.first { stream in
      guard case .open(let its, let number) = stream.place else { return false }
      return its === connection && number == id
    }
  }

  private func wait(_ stream: ClientStream, _ reason: String) {
    guard !stream.isAmidState else {
      let message = "the stream was lost amid the state that it begins with, and is to begin anew: \(reason)"
      return finish(stream, CallFailure(CallStatus(.aborted, message), applied: .no))
    }
    // A node that knows no leader gives it up after three seconds: that it was open there is no progress.
    if case .open = stream.place, .now() - stream.opened > Self.silence + Self.silence { stream.gotOn = .now() }
    stream.place = .waiting
    stream.reason = reason
  }

  private func finish(_ stream: ClientStream, _ failure: CallFailure) {
    guard let place = streams.firstIndex(where: { $0 === stream }) else { return }
    streams.remove(at: place)
    if case .open(let connection, let id) = stream.place, failure.status.code == .cancelled {
      codec.pack(streamCancel: id)
      push(.streamCancel, over: connection)
    }
    stream.end(failure)
    guard streams.isEmpty else { return }
    streamWatch?.stop()
    streamWatch = nil
  }

  // MARK: Time

  private func watchStreams() {
    let now = NIODeadline.now()
    for stream in streams {
      switch stream.place {
      case .waiting where now - stream.gotOn > stream.patience:
        let message = "no node goes on with the stream: \(stream.reason)"
        finish(stream, CallFailure(CallStatus(.unavailable, message), applied: .no))
      case .open(let connection, _) where now - stream.lastHeard > Self.silence + Self.silence:
        connection.closeNow(reason: .local("the node has said nothing for 6 s"))
      case .open where now - stream.lastHeard > Self.silence && !stream.isAsked:
        stream.isAsked = true
        grant(0, to: stream)
      case .waiting, .open, .over: break
      }
    }
    goOnWithStreams()
  }
}
