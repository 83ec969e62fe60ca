import Glibc
import LockstepConsensus
import LockstepDriver
import LockstepRequests
import LockstepWire

/// Links that keep what is sent until it is taken.
final class CostLinks: PeerLinks {
  struct Frame {
    let kind: FrameKind
    let payload: [UInt8]
    let to: NodeID
  }
  private var frames: [Frame] = []
  private let codec = Codec(maximumMessage: 8 << 20)

  func send(
    _ message: Message, of group: GroupID, previousChain: UInt64, entries: UnsafeRawBufferPointer, to node: NodeID
  ) -> LinkResult {
    let kind = codec.pack(message, group: group, previousChain: previousChain)
    return codec.packed.withUnsafeBytes { add(kind, $0, entries, to: node) }
  }

  func forward(_ request: Request, id: UInt64, timeoutMilliseconds: UInt64, to node: NodeID) -> LinkResult {
    codec.pack(forward: id, timeoutMilliseconds: timeoutMilliseconds, request) { add(.forward, $0, $1, to: node) }
  }

  fileprivate func add(
    _ kind: FrameKind, _ header: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer, to node: NodeID
  ) -> LinkResult {
    var payload: [UInt8] = []
    payload.reserveCapacity(header.count + body.count)
    payload.append(contentsOf: header)
    payload.append(contentsOf: body)
    frames.append(Frame(kind: kind, payload: payload, to: node))
    return .sent
  }

  func isConnected(_ node: NodeID) -> Bool { true }
  func flush() {}

  func take() -> [Frame] {
    defer { frames.removeAll(keepingCapacity: true) }
    return frames
  }
}

/// Jobs that are run when they are asked for.
final class CostQueue: DiskQueue {
  private let worker: DiskWorker
  private var jobs: [DiskJob] = []

  init(_ worker: DiskWorker) { self.worker = worker }

  func submit(_ job: DiskJob) -> DiskResult? {
    jobs.append(job)
    return nil
  }

  func finish() -> [DiskResult] {
    let due = jobs
    jobs.removeAll(keepingCapacity: true)
    return due.map { worker.run($0) }
  }
}

/// Never asked: what is measured writes less log than leads to a snapshot.
final class CostSnapshots: SnapshotQueue {
  func write(_ job: SnapshotJob) { preconditionFailure("a snapshot in the middle of a measurement") }
}

/// Counts answers, and looks at no more of them than their code.
final class CostSink: ReplyChannel {
  private(set) var answered = 0
  private(set) var failed = 0
  let hasRoom = true
  let maximumReplyBytes = DriverLimits().replyBytes

  func send(_ kind: FrameKind, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) {
    answered += 1
    var cursor = WireCursor(body)
    do throws(WireError) {
      while !cursor.isAtEnd {
        let tag = try cursor.varint()
        if tag == 2 << 3 {
          if try cursor.varint() != 0 { failed += 1 }
        } else {
          try cursor.skipValue(wireType: tag & 7)
        }
      }
    } catch { failed += 1 }
  }

  func flush() {}
}

/// Where the answers go to what one node has passed on.
final class CostPeerReplies: ReplyChannel {
  private let links: CostLinks
  private let peer: NodeID
  let hasRoom = true
  let maximumReplyBytes = DriverLimits().replyBytes

  init(_ links: CostLinks, to peer: NodeID) {
    self.links = links
    self.peer = peer
  }

  func send(_ kind: FrameKind, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) {
    _ = links.add(kind, header, body, to: peer)
  }

  func flush() {}
}

/// The clock that a server measures its stages with.
enum CostClock {
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

/// Nobody is ever so far behind.
final class CostInstalls: InstallQueue {
  func begin(_ job: InstallJob) {}
  func cancel(_ group: GroupID) {}
  func settle(_ group: GroupID, at index: LogIndex, isOfUse: Bool) {}
  func progress(of group: GroupID) -> InstallProgress? { nil }
}
