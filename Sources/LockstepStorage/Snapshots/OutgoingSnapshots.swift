package import LockstepConsensus
package import LockstepWire

/// Snapshot files that other nodes read. One that is being read stays readable when it is removed meanwhile. Not Sendable,
/// and every call blocks.
package final class OutgoingSnapshots {
  /// What one piece has at most.
  package static let maximumBytes = 1 << 20

  private let store: SnapshotStore
  private var open: [(name: SnapshotName, file: any DiskFile, bytes: Int)] = []

  package init(store: SnapshotStore) { self.store = store }

  deinit { close() }

  /// Nobody reads any more.
  package func close() {
    for one in open { one.file.close() }
    open = []
  }

  /// Whatever is wrong here is said: it is not this node that needs it.
  package func read(_ read: SnapshotRead) -> SnapshotPart.Outcome {
    do throws(StorageError) { return try part(read) } catch { return .refused("\(error)") }
  }

  private func part(_ read: SnapshotRead) throws(StorageError) -> SnapshotPart.Outcome {
    guard let name = try name(for: read) else {
      return .refused("no snapshot that reaches entry \(read.index ?? read.atLeast)")
    }
    let (file, size) = try file(name)
    guard read.offset >= 0, read.offset < size, read.length > 0 else {
      return .refused("\(name) has \(size) bytes, and byte \(read.offset) is asked for")
    }
    var data = [UInt8](repeating: 0, count: min(read.length, Self.maximumBytes, size - read.offset))
    let count = try onDisk { () throws(DiskError) in
      var failure: DiskError?
      let count = data.withUnsafeMutableBytes { buffer in
        do throws(DiskError) { return try file.read(into: buffer, at: read.offset) } catch {
          failure = error
          return 0
        }
      }
      if let failure { throw failure }
      return count
    }
    guard count == data.count else { return .refused("\(name) has become shorter than \(size) bytes") }
    return .found(SnapshotPart.Found(index: name.index, fileBytes: size, offset: read.offset, data: data))
  }

  private func name(for read: SnapshotRead) throws(StorageError) -> SnapshotName? {
    if let index = read.index {
      let name = SnapshotName(group: read.group, index: index)
      if open.contains(where: { $0.name == name }) { return name }
      return try store.names(of: read.group).first { $0 == name }
    }
    return try store.names(of: read.group).first.flatMap { $0.index >= read.atLeast ? $0 : nil }
  }

  private func file(_ name: SnapshotName) throws(StorageError) -> (any DiskFile, bytes: Int) {
    if let known = open.first(where: { $0.name == name }) { return (known.file, known.bytes) }
    let file = try store.file(name)
    let bytes = try onDisk { () throws(DiskError) in try file.size() }
    // Those that are kept of a group, and one that is no longer.
    if open.count > SnapshotStore.kept { open.removeFirst().file.close() }
    open.append((name, file, bytes))
    return (file, bytes)
  }
}
