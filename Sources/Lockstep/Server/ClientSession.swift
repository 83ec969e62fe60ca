import DequeModule
import LockstepTransport
import LockstepWire

/// What a connection's context is: its session, and the writer of its replies, which nodes may keep for longer.
final class ClientContext {
  let session: ClientSession
  let replies: FramedReplies

  init(_ session: ClientSession, _ codec: Codec) {
    self.session = session
    replies = FramedReplies(session, codec: codec, form: .client)
  }
}

/// What is asked of the node itself, and answered beside calls.
enum ClientQuestion {
  case describe(UInt64)
  case status(UInt64)
  case snapshot(UInt64)
}

/// One client's connection: where the answers to its calls go, and how much it may ask at once.
final class ClientSession {
  /// With so many calls under way, no more are read until half are answered.
  private static let callsUnderWay = 8192

  /// They are no calls: what would end them comes over the connection itself, which is read on whatever their number.
  private static let streamsAtOnce = 4096
  private var streams = 0

  private let connection: Connection
  let maximumReplyBytes: Int
  /// Calls that were read and are not answered.
  private var underWay = 0
  private var hasTooManyCalls = false
  /// Not answered yet, because much waits to be read; while there are any, nothing is read.
  private var questions: Deque<ClientQuestion> = []
  /// The client sends nothing more, and waits for the answers.
  private var hasInputEnded = false

  init(_ connection: Connection, maximumReplyBytes: Int) {
    self.connection = connection
    self.maximumReplyBytes = maximumReplyBytes
  }

  func callReceived() {
    underWay += 1
    guard underWay >= Self.callsUnderWay, !hasTooManyCalls else { return }
    hasTooManyCalls = true
    connection.pauseReading()
  }

  /// Returns whether it may have one more.
  func streamOpened() -> Bool {
    streams += 1
    return streams <= Self.streamsAtOnce
  }

  func streamEnded() { streams -= 1 }

  private func callAnswered() {
    underWay -= 1
    if hasInputEnded { closeIfAnswered() }
    guard hasTooManyCalls, underWay <= Self.callsUnderWay / 2 else { return }
    hasTooManyCalls = false
    resumeReading()
  }

  private func resumeReading() {
    if !hasTooManyCalls, questions.isEmpty { connection.resumeReading() }
  }

  /// The client has said all that it will: it is answered, and then the connection is closed.
  func inputEnded() {
    hasInputEnded = true
    closeIfAnswered()
  }

  private func closeIfAnswered() {
    if underWay == 0, questions.isEmpty { connection.close(reason: .peerClosed) }
  }

  // MARK: Questions

  /// A question that has just come may be answered: none waits in front of it.
  var mayAnswer: Bool { questions.isEmpty && connection.hasRoom }
  /// Nothing waits any more, or nobody.
  var isDone: Bool { questions.isEmpty || !connection.isOpen }

  /// Returns whether it is the first that waits.
  func hold(_ question: ClientQuestion) -> Bool {
    connection.pauseReading()
    questions.append(question)
    return questions.count == 1
  }

  /// The next one that waits, if there is room for its answer.
  func nextQuestion() -> ClientQuestion? {
    guard connection.isOpen, connection.hasRoom else { return nil }
    return questions.popFirst()
  }

  /// What `nextQuestion` gave has been answered.
  func questionAnswered() {
    guard questions.isEmpty else { return }
    if hasInputEnded { closeIfAnswered() } else { resumeReading() }
  }

  // MARK: Frames

  func sendNow(_ kind: FrameKind, _ payload: [UInt8]) {
    payload.withUnsafeBytes { deliver(kind, $0, UnsafeRawBufferPointer(start: nil, count: 0)) }
    connection.flush()
  }

  /// The answer to something that counts as a call.
  func answer(_ kind: FrameKind, _ payload: [UInt8]) {
    sendNow(kind, payload)
    callAnswered()
  }

  private func deliver(_ kind: FrameKind, _ header: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer) {
    switch connection.send(kind: kind.rawValue, header: header, body: body) {
    case .queued, .closed: break
    case .full: connection.closeNow(reason: .local("the client does not read its answers"))
    case .tooLong:
      let bytes = header.count + body.count
      connection.closeNow(reason: .local("an answer of \(bytes) bytes does not fit in a frame"))
    }
  }

  func refuse(_ reason: String, _ codec: Codec) {
    codec.pack(refusal: reason)
    sendNow(.refusal, codec.packed)
    connection.close(reason: .local("refused: \(reason)"))
  }
}

extension ClientSession: ReplyChannel {
  var hasRoom: Bool { connection.hasRoom }

  func send(_ kind: FrameKind, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) {
    deliver(kind, header, body)
    switch kind {
    case .streamItems: break
    case .streamEnd: streamEnded()
    default: callAnswered()
    }
  }

  func flush() { connection.flush() }
}
