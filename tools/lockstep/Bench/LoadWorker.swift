import Lockstep
import LockstepTransport
import LockstepWire
import NIOCore

/// One client of a load: its connection, while it has one, and its calls. A call's id is its slot, which it keeps when it
/// is sent again over another connection.
final class LoadWorker {
  private let endpoints: [Endpoint]
  private let owner: any LoadWorkerOwner
  private let link: Link
  private let codec = Codec(maximumMessage: 64 << 10)

  /// Where it connects, of the endpoints.
  private(set) var place: Int
  /// After the node's welcome, and until it is lost.
  private(set) var connection: Connection?
  /// It is to connect there as soon as no call is in flight, and sends no more until then.
  private(set) var destination: Int?
  /// Who leads, as its node has said last, and what was then done about it.
  var leader: UInt64 = 0
  /// Dials and handshakes that came to nothing since it was last connected.
  private var failures = 0
  private var isPausing = false

  /// When the call of each slot began, in nanoseconds; 0: there is none.
  var starts: [UInt64]
  /// Slots without a call.
  var free: [Int]
  /// Slots of calls that were certainly not carried out, and wait to be sent again.
  var refused: [Int] = []
  /// 0: its commands are in none.
  let session: UInt64
  /// Of its next command. What was certainly not carried out is a new one when it is sent again.
  var sequence: UInt64 = 1
  /// It has calls in a batch that is not flushed yet.
  var isTouched = false
  /// Something was answered since the last look.
  private var isHeard = false
  private var silentSeconds: Int64 = 0

  private static let pause = TimeAmount.milliseconds(100)

  init(
    _ targets: LoadTargets, number: Int, session: UInt64 = 0, window: Int, on eventLoop: any EventLoop,
    owner: any LoadWorkerOwner
  ) {
    precondition(window <= CallTemplate.ids)
    self.owner = owner
    self.session = session
    endpoints = targets.endpoints
    place = targets.first[number % targets.first.count]
    starts = Array(repeating: 0, count: window)
    free = Array((0..<window).reversed())
    let forwarder = Forwarder()
    link = Link(
      host: endpoints[place].host, port: endpoints[place].port, on: eventLoop, limits: .client, seed: UInt64(number),
      delegate: forwarder)
    forwarder.worker = self
  }

  func start() { link.start() }
  func stop() { link.stop() }

  /// Whether calls may be sent.
  var takesCalls: Bool { connection != nil && destination == nil }
  var inFlight: Int { starts.count - free.count - refused.count }

  /// The call is answered: its slot, and when it began.
  func ended(_ id: UInt64) throws(WireError) -> (slot: Int, start: UInt64) {
    guard id < UInt64(starts.count), starts[Int(id)] != 0 else {
      throw WireError("an answer to call \(id), which is not under way")
    }
    isHeard = true
    return (Int(id), starts[Int(id)])
  }

  /// To be asked once a second. A node answers every call by its time-out, even if only that it is over: one that does
  /// not is dead.
  func isSilent(longerThan timeout: Duration) -> Bool {
    silentSeconds = isHeard || inFlight == 0 ? 0 : silentSeconds + 1
    isHeard = false
    // The seconds are not whole at either end.
    return silentSeconds > timeout.components.seconds + 2
  }

  // MARK: Places

  /// Goes to another node when the calls in flight are answered.
  func move(to place: Int) {
    destination = place == self.place ? nil : place
    moveWhenIdle()
  }

  /// To the one that is named after this one.
  func moveOn() { move(to: (place + 1) % endpoints.count) }

  func moveWhenIdle() {
    guard let destination, connection != nil, inFlight == 0 else { return }
    dial(destination)
  }

  private func dial(_ place: Int) {
    self.place = place
    destination = nil
    connection = nil
    leader = 0
    link.update(host: endpoints[place].host, port: endpoints[place].port)
  }

  /// This node will not do: the next one at once, and after a round of all of them only after a pause.
  private func goOn() {
    failures += 1
    let next = (place + 1) % endpoints.count
    if failures < endpoints.count { return dial(next) }
    // Meanwhile the link dials the same one again by itself.
    guard !isPausing, endpoints.count > 1 else { return }
    isPausing = true
    link.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
      self.isPausing = false
      if self.connection == nil { self.dial((self.place + 1) % self.endpoints.count) }
    }
  }

  // MARK: Connection

  fileprivate func opened(_ connection: Connection) {
    codec.pack(clientHello: WireVersion.oldest...WireVersion.current)
    _ = codec.packed.withUnsafeBytes {
      connection.send(
        kind: FrameKind.clientHello.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    connection.flush()
  }

  fileprivate func received(_ connection: Connection, _ kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    do throws(WireError) {
      if connection === self.connection, kind == FrameKind.callReply.rawValue {
        try owner.take(payload, self)
      } else if connection === self.connection, kind == FrameKind.batchReply.rawValue {
        try owner.takeBatch(payload, self)
      } else if kind == FrameKind.clientWelcome.rawValue, !connection.isEstablished {
        connection.established()
        self.connection = connection
        failures = 0
        owner.connected(self)
      } else if kind == FrameKind.refusal.rawValue {
        connection.closeNow(reason: .local("the node refused: \(try codec.unpackRefusal(payload))"))
      } else {
        throw WireError("a frame of kind \(kind)")
      }
    } catch {
      connection.closeNow(reason: .local("not understood: \(error)"))
    }
  }

  fileprivate func writabilityChanged(_ connection: Connection) {
    if connection === self.connection { owner.hasRoom(self) }
  }

  fileprivate func closed(_ connection: Connection, _ reason: CloseReason) {
    let message = "the connection to \(connection.remoteAddress) was lost: \(reason)"
    if connection === self.connection {
      self.connection = nil
      destination = nil
      goOn()
      owner.lost(self, message)
    } else if !connection.isEstablished {
      goOn()
      owner.connectFailed(message)
    }
    // Else it was left for another one.
  }

  fileprivate func dialFailed(_ reason: String) {
    let endpoint = Endpoint(host: link.host, port: link.port)
    if !isPausing { goOn() }
    owner.connectFailed("\(endpoint) cannot be reached: \(reason)")
  }
}

/// Whose client a worker is.
protocol LoadWorkerOwner: AnyObject {
  func connected(_ worker: LoadWorker)
  func hasRoom(_ worker: LoadWorker)
  /// An answer to a call; thrown: to none that it can be one of.
  func take(_ payload: UnsafeRawBufferPointer, _ worker: LoadWorker) throws(WireError)
  func takeBatch(_ payload: UnsafeRawBufferPointer, _ worker: LoadWorker) throws(WireError)
  /// What was in flight may have been carried out or not.
  func lost(_ worker: LoadWorker, _ message: String)
  func connectFailed(_ message: String)
}

/// The link holds its delegate, and the worker holds the link.
private final class Forwarder: ConnectionDelegate {
  weak var worker: LoadWorker?

  func connectionOpened(_ connection: Connection) { worker?.opened(connection) }
  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    worker?.received(connection, kind, payload)
  }
  func connectionReadCompleted(_ connection: Connection) { connection.flush() }
  func connectionWritabilityChanged(_ connection: Connection) { worker?.writabilityChanged(connection) }
  func connectionClosed(_ connection: Connection, reason: CloseReason) { worker?.closed(connection, reason) }
  func link(_ link: Link, dialFailed reason: String) { worker?.dialFailed(reason) }
}
