import Glibc
import LockstepConsensus
import LockstepDriver
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

  func send(_ kind: FrameKind, header: [UInt8], body: UnsafeRawBufferPointer, to node: NodeID) {
    var payload: [UInt8] = []
    payload.reserveCapacity(header.count + body.count)
    payload.append(contentsOf: header)
    payload.append(contentsOf: body)
    frames.append(Frame(kind: kind, payload: payload, to: node))
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
final class CostSink: ReplySink {
  var isFlushDue = false
  private(set) var answered = 0
  private(set) var failed = 0
  private let codec = Codec(maximumMessage: 1 << 20)

  func send(_ kind: FrameKind, _ payload: [UInt8]) {
    answered += 1
    payload.withUnsafeBytes { bytes in
      var cursor = WireCursor(bytes)
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
