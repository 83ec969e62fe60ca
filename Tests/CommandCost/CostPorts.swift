import Glibc
import LockstepConsensus
import LockstepDriver
import LockstepRequests
import LockstepStorage
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

/// A disk whose files are memory, and which knows no crash.
final class CostDisk: Disk, @unchecked Sendable {
  // Unchecked: one thread.
  private var files: [String: CostFile] = [:]
  private var directories: Set<String> = []

  func open(_ path: String, for access: FileAccess) throws(DiskError) -> any DiskFile {
    guard let file = files[path] else {
      throw DiskError(operation: "open", path: path, reason: .notFound, text: "no such file")
    }
    return file
  }

  func create(_ path: String) throws(DiskError) -> any DiskFile {
    let file = CostFile()
    files[path] = file
    return file
  }

  func list(_ directory: String) throws(DiskError) -> [String]? {
    guard directories.contains(directory) else { return nil }
    return files.keys.filter { $0.hasPrefix("\(directory)/") }.map { String($0.dropFirst(directory.count + 1)) }
      .sorted()
  }

  func rename(_ from: String, to: String) throws(DiskError) { files[to] = files.removeValue(forKey: from) }
  func remove(_ path: String) throws(DiskError) { files[path] = nil }
  func createDirectory(_ path: String) throws(DiskError) { directories.insert(path) }
  func syncDirectory(_ path: String) throws(DiskError) {}
  func lock(_ path: String, exclusive: Bool) throws(DiskError) -> any DiskLock { CostLock() }
}

final class CostLock: DiskLock {
  func release() {}
}

final class CostFile: DiskFile {
  private var bytes: [UInt8] = []

  func size() throws(DiskError) -> Int { bytes.count }
  func birth() throws(DiskError) -> UInt64? { nil }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
    let count = max(0, min(buffer.count, bytes.count - offset))
    bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count])) }
    return count
  }

  func write(_ written: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
    if bytes.count < offset + written.count {
      bytes.append(contentsOf: repeatElement(0, count: offset + written.count - bytes.count))
    }
    bytes.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[offset...]).copyMemory(from: written) }
  }

  func sync() throws(DiskError) {}
  func close() {}
}

/// The clock that a server measures its stages with.
enum CostClock {
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
