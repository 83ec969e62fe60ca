import LockstepConsensus
import LockstepPeers
import LockstepTransport

/// One connection from the node that dialed to the one that accepted: bytes in order, until it breaks. What arrives is
/// cut into frames by the decoder of a real node.
final class SimulatedConnection: FrameSink {
  let from: Int
  let to: Int
  let fromLife: Int
  let toLife: Int
  let number: Int
  /// The one that was dialed listens.
  var isEstablished = false
  /// None for a stranger, who says no sensible word.
  var dialer: Handshake?
  /// Made when the first frame has arrived.
  var acceptor: Handshake?
  /// Established: with which disk each end takes part.
  var dialerDisk: MemberDisk?
  var acceptorDisk: MemberDisk?
  /// Words on their way back to the one that has dialed.
  var answers: [Handshake.Word] = []
  /// Neither end takes part any more.
  var isClosed = false
  /// What has arrived is all that ever will: the rest of a frame is missing.
  var isReset = false
  /// The other end is gone without a word: who sends there is told so as soon as somebody is there to say it.
  var isHalfOpen = false
  /// What waits for the way to be free again.
  var held: [[UInt8]] = []
  /// Frames of this turn.
  var outbound: [UInt8] = []
  /// Bytes that were flushed and that the receiver has not taken; with `outbound` at most `capacity`.
  var bytesUnderWay = 0
  let capacity: Int
  /// When a narrow way has let through all that was flushed.
  var freeAt: UInt64 = 0
  /// Nothing overtakes what was sent before.
  var lastArrival: UInt64 = 0
  let maximumFrameLength: Int
  var takesFrames: Bool { !isClosed }
  private let decoder: FrameDecoder
  private var frameBegan: (time: UInt64, frames: UInt64)?
  private let receive: (SimulatedConnection, UInt8, UnsafeRawBufferPointer) -> Void

  init(
    from: Int, to: Int, fromLife: Int, toLife: Int, number: Int, dialer: Handshake?, maximumFrameLength: Int,
    capacity: Int = 64 << 20, memory: FrameMemory,
    receive: @escaping (SimulatedConnection, UInt8, UnsafeRawBufferPointer) -> Void
  ) {
    self.from = from
    self.to = to
    self.fromLife = fromLife
    self.toLife = toLife
    self.number = number
    self.dialer = dialer
    self.maximumFrameLength = maximumFrameLength
    self.capacity = capacity
    self.receive = receive
    decoder = FrameDecoder(memory: memory, receiveBufferBytes: 256 * 1024)
  }

  func fits(_ bytes: Int) -> Bool { bytes <= capacity - outbound.count - bytesUnderWay }
  /// As on a real connection: less is waiting than half of what may.
  var hasRoom: Bool { outbound.count + bytesUnderWay <= capacity / 2 }

  func take(kind: UInt8, payload: UnsafeRawBufferPointer) { receive(self, kind, payload) }

  /// Bytes arrive. Returns why the receiver closes the connection, if it does.
  func arrive(_ bytes: [UInt8]) -> CloseReason? {
    bytes.withUnsafeBytes { decoder.receive($0, for: self) }
  }

  /// A frame that was begun has to be whole in time, or the connection is closed: a length that was damaged on the way
  /// may wait for bytes that never come.
  func isFrameOverdue(_ now: UInt64, deadline: UInt64) -> Bool {
    guard decoder.heldBytes > 0 else {
      frameBegan = nil
      return false
    }
    if let frameBegan, frameBegan.frames == decoder.frames { return now - frameBegan.time > deadline }
    frameBegan = (now, decoder.frames)
    return false
  }

  func forget() { decoder.forget() }

  private static let emptyHeader = [UInt8](repeating: 0, count: Frame.headerLength)

  /// Appends a frame to what goes out with the next flush.
  static func append(
    _ kind: UInt8, _ header: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer, to bytes: inout [UInt8]
  ) {
    let start = bytes.count
    bytes.append(contentsOf: emptyHeader)
    bytes.append(contentsOf: header)
    bytes.append(contentsOf: body)
    bytes.withUnsafeMutableBytes { Frame.seal(UnsafeMutableRawBufferPointer(rebasing: $0[start...]), kind: kind) }
  }
}
