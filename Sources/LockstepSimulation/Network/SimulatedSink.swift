import LockstepConsensus
import LockstepDriver
import LockstepTransport
import LockstepWire

/// How the process of a client reads its connections; the callers in it share them.
final class SimulatedReader {
  let index: Int
  /// It reads nothing before this moment, and from then on so many bytes a second; 0: all that is there.
  var stoppedUntil: UInt64 = 0
  var bytesPerSecond: UInt64 = 0
  /// While it reads nothing its callers call all the same.
  var goesOnCalling = false
  /// Until then, nodes may have more to answer than its callers wait for.
  var askedTooMuchUntil: UInt64 = 0
  /// One to each node that was called.
  var sinks: [SimulatedSink] = []
  /// The node that most of its calls go to, if there is one.
  var favorite: Int?

  init(index: Int) { self.index = index }
}

/// One connection of a client to one node, with a capacity: answers that nobody reads wait here, as they do on the
/// connection of a real node.
final class SimulatedSink: ReplyChannel {
  struct Answer {
    let client: Int
    let call: UInt64
    let bytes: [UInt8]
    let sent: UInt64
    /// When it has come through the network.
    var arrival: UInt64
    /// It is said to lack its reply, and there was room for one.
    let hadRoomForMore: Bool

    var size: Int { Frame.headerLength + bytes.count }
  }

  /// Writes into this connection.
  private(set) lazy var replies = FramedReplies(
    self, codec: world.codec, form: .client, limits: world.options.batchReplies)
  let reader: SimulatedReader
  /// Of the node.
  let index: Int
  let life: Int
  /// Neither end takes part any more. What was on its way is read all the same, unless the node has closed it.
  var isClosed = false
  /// Calls that have arrived over it and are not answered, with their callers.
  private(set) var callers: [UInt64: Int] = [:]
  /// Bytes of `outbound` and `unread`; at most `capacity`.
  private(set) var waitingBytes = 0
  let capacity: Int
  /// Answers of this turn, and those that were flushed and are not read.
  private var outbound: [(kind: FrameKind, bytes: [UInt8], hadRoom: Bool)] = []
  private var unread: [Answer] = []
  private var unreadHead = 0
  /// Of the read that is planned: an older plan is void.
  private(set) var readNumber = 0
  /// Answers arrive in the order in which they were sent.
  var lastArrival: UInt64 = 0
  private unowned let world: World

  init(world: World, reader: SimulatedReader, index: Int, life: Int, capacity: Int) {
    self.world = world
    self.reader = reader
    self.index = index
    self.life = life
    self.capacity = capacity
  }

  /// As on a real connection: less is waiting than half of what may.
  private var isHalfEmpty: Bool { waitingBytes <= capacity / 2 }

  var hasRoom: Bool {
    if !isHalfEmpty { world.faults.count(.clientWithoutRoom) }
    return isHalfEmpty
  }

  var next: Answer? { unreadHead < unread.count ? unread[unreadHead] : nil }

  func expect(_ call: UInt64, from client: Int) { callers[call] = client }

  /// Who is to get the answer; nil when nobody waits for one here.
  func takeCaller(_ call: UInt64) -> Int? { callers.removeValue(forKey: call) }

  var maximumReplyBytes: Int { world.options.driver.replyBytes }

  func send(_ kind: FrameKind, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) {
    guard !isClosed else { return }
    let size = Frame.headerLength + header.count + body.count
    guard waitingBytes + size <= capacity else {
      world.overrun(self)
      return
    }
    outbound.append((kind, [UInt8](header) + body, isHalfEmpty && replies.hasRoom))
    waitingBytes += size
  }

  func flush() {
    for reply in outbound {
      if let answer = world.leave(reply.kind, reply.bytes, over: self, hadRoom: reply.hadRoom) {
        unread.append(answer)
      } else {
        waitingBytes -= Frame.headerLength + reply.bytes.count
      }
    }
    outbound.removeAll(keepingCapacity: true)
  }

  func planned() -> Int {
    readNumber += 1
    return readNumber
  }

  func readNext() {
    guard let next else { return }
    waitingBytes -= next.size
    unreadHead += 1
    if unreadHead == unread.count || unreadHead > 64 {
      unread.removeFirst(unreadHead)
      unreadHead = 0
    }
  }

  /// The node has closed it: what waited is lost.
  func drop() {
    isClosed = true
    outbound = []
    unread = []
    unreadHead = 0
    waitingBytes = 0
    callers = [:]
  }
}
