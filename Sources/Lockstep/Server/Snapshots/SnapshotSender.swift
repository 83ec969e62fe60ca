import LockstepConsensus
import LockstepDriver
import LockstepStorage
import LockstepTransport
import LockstepWire
import Logging

/// Lets other nodes read this node's snapshots, piece by piece as they ask. Confined to the loop.
final class SnapshotSender {
  /// More than any receiver asks for at once.
  private static let maximumReads = 64

  private final class Reader {
    let peer: NodeID
    let connection: Connection
    /// Asked for, and not sent.
    var reads = 0
    /// Whose bytes it has got.
    var index: LogIndex?
    init(_ peer: NodeID, _ connection: Connection) {
      self.peer = peer
      self.connection = connection
    }
  }

  private let queue: TransferQueue
  private let log: RepeatingLog
  private var readers: [Reader] = []
  private let codec: Codec
  weak var server: ServerLoop?

  init(queue: TransferQueue, log: RepeatingLog) {
    self.queue = queue
    self.log = log
    codec = Codec(maximumMessage: 1024)
  }

  func established(_ connection: Connection, with peer: NodeID) {
    // Who connects anew has given up what was before.
    for former in readers where former.peer == peer {
      former.connection.closeNow(reason: .local("node \(peer) has connected anew"))
    }
    readers.append(Reader(peer, connection))
  }

  func closed(_ connection: Connection) {
    guard let place = readers.firstIndex(where: { $0.connection === connection }) else { return }
    readers.remove(at: place)
    if readers.isEmpty { queue.restOutgoing() }
  }

  func received(_ read: SnapshotRead, over connection: Connection) {
    guard let reader = readers.first(where: { $0.connection === connection }) else { return }
    guard reader.reads < Self.maximumReads else {
      connection.close(reason: .local("refused: more than \(Self.maximumReads) pieces of a snapshot at once"))
      return
    }
    reader.reads += 1
    queue.read(read) {
      if let (name, reason) = $0.unsound { self.server?.snapshotIsUnsound(name, reason) }
      self.send($0.outcome, of: read.group, to: reader)
    }
  }

  private func send(_ outcome: SnapshotPart.Outcome, of group: GroupID, to reader: Reader) {
    reader.reads -= 1
    guard reader.connection.isOpen, let state = server?.node.inspect(group) else { return }
    if case .found(let found) = outcome, reader.index != found.index {
      reader.index = found.index
      log.log(
        .notice, "snapshots to node \(reader.peer)", "\(found.index)",
        "node \(reader.peer) reads the snapshot up to entry \(found.index) from this node, \(found.fileBytes) bytes, from byte \(found.offset) on"
      )
    }
    codec.pack(SnapshotPart(group: group, term: state.hardState.term, outcome: outcome))
    _ = codec.packed.withUnsafeBytes {
      reader.connection.send(
        kind: FrameKind.snapshotPart.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    reader.connection.flush()
  }
}
