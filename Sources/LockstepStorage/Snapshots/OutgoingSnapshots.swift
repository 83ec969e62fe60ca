import LockstepConsensus
package import LockstepWire

/// Snapshot files that other nodes read. Nothing is sent of one that was not checked up to there: what has rotted here would
/// be found by the receiver alone, which has nobody else to ask where this node leads. One that is being read stays readable
/// when it is removed meanwhile. Not Sendable, and every call blocks.
package final class OutgoingSnapshots {
  /// What one piece has at most.
  package static let maximumBytes = 1 << 20
  private static let checkedAtOnce = 64 << 20

  package struct Answer {
    package let outcome: SnapshotPart.Outcome
    /// One that is not what was written, and why.
    package var unsound: (name: SnapshotName, reason: String)?
  }

  private struct Open {
    let name: SnapshotName
    let file: any DiskFile
    let bytes: Int
    /// Reads the same file, and checks it.
    let checked: SnapshotFile
  }

  private let store: SnapshotStore
  private var open: [Open] = []
  /// Found not to hold: one before them does as well, if it reaches far enough.
  private var unsound: Set<SnapshotName> = []

  package init(store: SnapshotStore) { self.store = store }

  deinit { close() }

  private func close() {
    for one in open { one.file.close() }
    open = []
  }

  /// Nobody reads now. What was checked of those that are there need not be checked again when one goes on.
  package func rest() {
    let names: [SnapshotName]
    do throws(StorageError) { names = try store.names() } catch { return close() }
    for one in open where !names.contains(one.name) { forget(one.name) }
  }

  /// Whatever is wrong here is said: it is not this node that needs it.
  package func read(_ read: SnapshotRead) -> Answer {
    let name: SnapshotName
    do throws(StorageError) {
      guard let found = try self.name(for: read) else {
        return Answer(outcome: .refused("no snapshot that reaches entry \(read.index ?? read.atLeast)"))
      }
      name = found
    } catch { return Answer(outcome: .refused("\(error)")) }
    do throws(StorageError) { return Answer(outcome: try part(read, of: name)) } catch {
      var answer = Answer(outcome: .refused("\(error)"))
      if case .damaged = error {
        answer.unsound = (name, "\(error)")
        unsound.insert(name)
        // Another one may get its name.
        forget(name)
      }
      return answer
    }
  }

  private func forget(_ name: SnapshotName) {
    for one in open where one.name == name { one.file.close() }
    open.removeAll { $0.name == name }
  }

  private func part(_ read: SnapshotRead, of name: SnapshotName) throws(StorageError) -> SnapshotPart.Outcome {
    // Who begins again has found that what it got does not hold: so is what was checked then.
    let one = try file(name, isNew: read.offset == 0)
    guard read.offset >= 0, read.offset < one.bytes, read.length > 0 else {
      return .refused("\(name) has \(one.bytes) bytes, and byte \(read.offset) is asked for")
    }
    let wanted = min(read.length, Self.maximumBytes, one.bytes - read.offset)
    // Who goes on far behind what was checked here would wait too long; it checks all of it in the end, and begins again.
    if read.offset <= one.checked.verifiedBytes + Self.checkedAtOnce {
      try one.checked.verify(through: read.offset + wanted)
    }
    var failure: DiskError?
    let data = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
      let target = UnsafeMutableRawBufferPointer(buffer)
      do throws(DiskError) { count = try one.file.read(into: target, at: read.offset) } catch { failure = error }
    }
    if let failure { throw StorageError(failure) }
    guard data.count == wanted else { return .refused("\(name) has become shorter than \(one.bytes) bytes") }
    return .found(SnapshotPart.Found(index: name.index, fileBytes: one.bytes, offset: read.offset, data: data))
  }

  private func name(for read: SnapshotRead) throws(StorageError) -> SnapshotName? {
    if let index = read.index {
      let name = SnapshotName(group: read.group, index: index)
      if open.contains(where: { $0.name == name }) { return name }
      return try store.names(of: read.group).first { $0 == name }
    }
    let names = try store.names(of: read.group).filter { $0.index >= read.atLeast }
    // Where none is left another one may have taken the place of one that did not hold.
    return names.first { !unsound.contains($0) } ?? names.first
  }

  private func file(_ name: SnapshotName, isNew: Bool) throws(StorageError) -> Open {
    if let known = open.first(where: { $0.name == name }) {
      // One that was removed meanwhile is what it was.
      guard isNew, try store.names(of: name.group).contains(name) else { return known }
      forget(name)
    }
    let checked = try store.open(name)
    let file = try store.file(name)
    let bytes = try onDisk { () throws(DiskError) in try file.size() }
    // Those that are kept of a group, and one that is no longer.
    if open.count > SnapshotStore.kept { open.removeFirst().file.close() }
    let one = Open(name: name, file: file, bytes: bytes, checked: checked)
    open.append(one)
    return one
  }
}
