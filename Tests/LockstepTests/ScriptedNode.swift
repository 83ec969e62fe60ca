import LockstepTransport
import LockstepRequests
import LockstepWire
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Lockstep

/// Listens like a node, and answers calls as a test says.
final class ScriptedNode: Sendable {
  enum Answer: Sendable {
    case reply(code: UInt32, Applied, leader: UInt64)
    case silence
    case hangUp

    static let done = Answer.reply(code: 0, .yes, leader: 0)
    /// UNAVAILABLE, and certainly not carried out.
    static func refused(leader: UInt64 = 0) -> Answer { .reply(code: 14, .no, leader: leader) }
  }

  private struct State {
    var timeouts: [UInt64] = []
    var answer: @Sendable (Int) -> Answer
  }

  let endpoint: Endpoint
  private let state: Mutex<State>
  private let loop: any EventLoop
  private let port: NIOLoopBoundBox<Port?>

  /// `answer` is asked for each call or batch, with how many there were before it.
  init(_ number: UInt64, _ answer: @escaping @Sendable (Int) -> Answer) async throws {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let port = NIOLoopBoundBox<Port?>.makeEmptyBox(eventLoop: loop)
    let local = await withCheckedContinuation { (done: CheckedContinuation<Int, Never>) in
      loop.execute {
        let made = Port(number)
        port.value = made
        Listener.bind(host: "127.0.0.1", port: 0, on: loop, delegate: made) { result in
          made.listener = try? result.get()
          done.resume(returning: made.listener?.localPort ?? 0)
        }
      }
    }
    try #require(local > 0)
    endpoint = Endpoint(host: "127.0.0.1", port: local)
    state = Mutex(State(answer: answer))
    (self.loop, self.port) = (loop, port)
    await onLoop { $0.node = self }
  }

  func answers(_ answer: @escaping @Sendable (Int) -> Answer) { state.withLock { $0.answer = answer } }

  /// How many calls it has got, and how much time each was given.
  var calls: Int { state.withLock { $0.timeouts.count } }
  var timeouts: [UInt64] { state.withLock { $0.timeouts } }

  /// Answers those calls that it was silent about.
  func answerTheSilent() async { await onLoop { $0.answerTheSilent() } }

  func close() async {
    await onLoop {
      $0.listener?.close()
      $0.node = nil
    }
  }

  private func onLoop(_ body: @escaping @Sendable (Port) -> Void) async {
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      loop.execute {
        if let port = self.port.value { body(port) }
        done.resume()
      }
    }
  }

  private func next(timeout: UInt64) -> Answer {
    state.withLock { state in
      state.timeouts.append(timeout)
      return state.answer(state.timeouts.count - 1)
    }
  }

  /// On the loop only.
  private final class Port: ConnectionDelegate {
    var node: ScriptedNode?
    var listener: Listener?
    private let number: UInt64
    private let codec = Codec(maximumMessage: 1 << 20)
    private var silent: [(Connection, id: UInt64)] = []

    init(_ number: UInt64) { self.number = number }

    func connectionOpened(_ connection: Connection) {}
    func connectionReadCompleted(_ connection: Connection) { connection.flush() }
    func connectionWritabilityChanged(_ connection: Connection) {}
    func connectionClosed(_ connection: Connection, reason: CloseReason) {}

    func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
      switch FrameKind(rawValue: kind) {
      case .clientHello:
        connection.established()
        codec.pack(ClientWelcome(version: 1, cluster: [], node: number, leader: 0, maximumRequestBytes: 1 << 20))
        send(.clientWelcome, connection)
      case .call:
        try? codec.unpackCall(payload) { header, _, _ in take(connection, header.id, header.timeoutMilliseconds) }
      case .batch:
        try? codec.unpackBatch(payload) { header, _, payloads in
          take(connection, header.id, header.timeoutMilliseconds, batch: payloads.count)
        }
      default: Issue.record("a frame of kind \(kind)")
      }
    }

    func answerTheSilent() {
      for (connection, id) in silent {
        reply(connection, id, 0, .yes, leader: 0)
        connection.flush()
      }
      silent.removeAll()
    }

    private func take(_ connection: Connection, _ id: UInt64, _ timeout: UInt64, batch: Int? = nil) {
      switch node?.next(timeout: timeout) ?? .silence {
      case .silence: silent.append((connection, id))
      case .hangUp: connection.closeNow(reason: .local("hung up"))
      case .reply(let code, let applied, let leader):
        if let batch {
          reply(batch: batch, connection, id, code, applied, leader: leader)
        } else {
          reply(connection, id, code, applied, leader: leader)
        }
      }
    }

    private func reply(_ connection: Connection, _ id: UInt64, _ code: UInt32, _ applied: Applied, leader: UInt64) {
      var reply = CallReply(id: id)
      (reply.code, reply.applied, reply.leader, reply.node) = (code, applied, leader, number)
      if code != 0 { reply.message = "node \(number) does not" }
      codec.pack(reply)
      send(.callReply, connection)
    }

    private func reply(
      batch: Int, _ connection: Connection, _ id: UInt64, _ code: UInt32, _ applied: Applied, leader: UInt64
    ) {
      var reply = BatchReply(id: id)
      (reply.code, reply.applied, reply.leader, reply.node) = (code, applied, leader, number)
      if code == 0 {
        for index in 1...UInt64(batch) {
          var result = BatchResult()
          (result.index, result.term, result.applied) = (index, 1, .yes)
          reply.results.append(result)
        }
      }
      codec.pack(reply)
      send(.batchReply, connection)
    }

    private func send(_ kind: FrameKind, _ connection: Connection) {
      _ = codec.packed.withUnsafeBytes {
        connection.send(kind: kind.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
      }
    }
  }
}
