import LockstepConsensus
import LockstepDriver
import LockstepStorage
import LockstepTransport
import LockstepWire

/// Fetches snapshots for this node, over a connection of their own: appends and heartbeats never wait behind them.
/// Confined to the loop.
final class SnapshotReceiver {
  private unowned let peers: PeerPort
  private let queue: TransferQueue
  private let tickMilliseconds: Int
  private let options: SnapshotFetch.Options
  private let notice: (NodeEvent) -> Void
  private var fetch: SnapshotFetch?
  /// Which one it is: what the disk was at for one before it is no answer to this one.
  private var number = 0
  /// While it is established.
  private var connection: Connection?
  private let codec: Codec
  weak var server: ServerLoop?

  /// `bytesPerSecond`: what is fetched at most.
  init(
    peers: PeerPort, queue: TransferQueue, tickMilliseconds: Int, bytesPerSecond: Int,
    notice: @escaping (NodeEvent) -> Void
  ) {
    self.peers = peers
    self.queue = queue
    self.tickMilliseconds = tickMilliseconds
    self.notice = notice
    var options = SnapshotFetch.Options()
    options.bytesPerTick = max(1, bytesPerSecond / 1000 * tickMilliseconds)
    options.patienceTicks = max(1, 10_000 / tickMilliseconds)
    options.pauseTicks = max(1, 500 / tickMilliseconds)
    self.options = options
    codec = Codec(maximumMessage: 1024)
  }

  func tick() { fetch?.tick() }

  // MARK: The connection

  func established(_ connection: Connection) {
    self.connection = connection
    fetch?.connected()
  }

  func received(_ part: SnapshotPart) { fetch?.received(part) }

  func closed(_ reason: String) {
    connection = nil
    fetch?.disconnected(reason)
  }
}

extension SnapshotReceiver: InstallQueue {
  func begin(_ job: InstallJob) {
    number += 1
    fetch = SnapshotFetch(job, options: options, port: self)
  }

  func cancel(_ group: GroupID) {
    fetch?.cancel()
    fetch = nil
  }

  func settle(_ group: GroupID, at index: LogIndex, isOfUse: Bool) {
    queue.settle(group, at: index, isOfUse: isOfUse) { self.server?.diskFailed($0) }
  }

  func progress(of group: GroupID) -> InstallProgress? { fetch?.progress(tickMilliseconds: tickMilliseconds) }
}

extension SnapshotReceiver: FetchPort {
  func connect(to node: NodeID) { peers.dialForSnapshots(node) }

  func disconnect() {
    connection = nil
    peers.hangUpForSnapshots()
  }

  func send(_ read: SnapshotRead) {
    guard let connection else { return }
    codec.pack(read)
    _ = codec.packed.withUnsafeBytes {
      connection.send(
        kind: FrameKind.snapshotRead.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    connection.flush()
  }

  func run(_ work: FetchWork) {
    let number = number
    queue.run(work) { result in
      if number == self.number, let fetch = self.fetch { return fetch.finished(result) }
      if case .failed(let error) = result { self.failed(error) }
    }
  }

  func arrived(_ result: InstallResult) {
    fetch = nil
    server?.node.installFinished(result)
    server?.scheduleTurn()
  }

  func observe(_ event: NodeEvent) { notice(event) }

  func failed(_ error: StorageError) { server?.diskFailed(error) }
}
