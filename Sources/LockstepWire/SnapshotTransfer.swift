internal import CLockstepWire
internal import CProtobufC
package import LockstepConsensus

// A node that needs a snapshot reads the file of another, piece by piece.

package struct SnapshotRead: Sendable, Equatable {
  package var group: GroupID
  /// The last entry that is in it; nil: the last snapshot that there is, if it reaches as far as `atLeast`.
  package var index: LogIndex?
  package var atLeast: LogIndex
  package var offset: Int
  /// At most so many bytes.
  package var length: Int

  package init(group: GroupID, index: LogIndex?, atLeast: LogIndex, offset: Int, length: Int) {
    self.group = group
    self.index = index
    self.atLeast = atLeast
    self.offset = offset
    self.length = length
  }
}

package struct SnapshotPart: Sendable, Equatable {
  /// Which file, how large it is, and where in it `data` stands.
  package struct Found: Sendable, Equatable {
    package var index: LogIndex
    package var fileBytes: Int
    package var offset: Int
    package var data: [UInt8]

    package init(index: LogIndex, fileBytes: Int, offset: Int, data: [UInt8]) {
      self.index = index
      self.fileBytes = fileBytes
      self.offset = offset
      self.data = data
    }
  }

  package enum Outcome: Sendable, Equatable {
    case found(Found)
    /// There is no such part here, and why.
    case refused(String)
  }

  package var group: GroupID
  /// Of the sender now.
  package var term: Term
  package var outcome: Outcome

  package init(group: GroupID, term: Term, outcome: Outcome) {
    self.group = group
    self.term = term
    self.outcome = outcome
  }
}

extension Codec {
  package func pack(_ read: SnapshotRead) {
    var message = Lockstep__Wire__V1__SnapshotRead()
    lockstep__wire__v1__snapshot_read__init(&message)
    message.group = read.group.rawValue
    message.index = read.index?.rawValue ?? 0
    message.at_least = read.atLeast.rawValue
    message.offset = UInt64(read.offset)
    message.length = UInt64(read.length)
    pack(&message)
  }

  package func unpackSnapshotRead(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> SnapshotRead {
    try unpack(
      bytes, as: lockstep__wire__v1__snapshot_read__descriptor_pointer(), Lockstep__Wire__V1__SnapshotRead.self
    ) { message throws(WireError) in
      SnapshotRead(
        group: GroupID(message.group), index: message.index == 0 ? nil : LogIndex(message.index),
        atLeast: LogIndex(message.at_least), offset: try bytesOfFile(message.offset),
        length: try bytesOfFile(message.length))
    }
  }

  package func pack(_ part: SnapshotPart) {
    var message = Lockstep__Wire__V1__SnapshotPart()
    lockstep__wire__v1__snapshot_part__init(&message)
    message.group = part.group.rawValue
    message.term = part.term.rawValue
    switch part.outcome {
    case .refused(let reason):
      withProtobufString(reason.isEmpty ? "refused" : reason) {
        message.refusal = $0
        pack(&message)
      }
    case .found(let found):
      message.index = found.index.rawValue
      message.file_bytes = UInt64(found.fileBytes)
      message.offset = UInt64(found.offset)
      withProtobufBytes(found.data) {
        message.data = $0
        pack(&message)
      }
    }
  }

  package func unpackSnapshotPart(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> SnapshotPart {
    try unpack(
      bytes, as: lockstep__wire__v1__snapshot_part__descriptor_pointer(), Lockstep__Wire__V1__SnapshotPart.self
    ) { message throws(WireError) in
      let (group, term) = (GroupID(message.group), Term(message.term))
      let refusal = text(message.refusal)
      guard refusal.isEmpty else {
        return SnapshotPart(group: group, term: term, outcome: .refused(String(refusal.prefix(500))))
      }
      let found = SnapshotPart.Found(
        index: LogIndex(message.index), fileBytes: try bytesOfFile(message.file_bytes),
        offset: try bytesOfFile(message.offset), data: message.data.array)
      guard found.index > .zero, !found.data.isEmpty, found.data.count <= found.fileBytes,
        found.offset <= found.fileBytes - found.data.count
      else { throw WireError("\(found.data.count) bytes at \(found.offset) of a file of \(found.fileBytes)") }
      return SnapshotPart(group: group, term: term, outcome: .found(found))
    }
  }

  /// No file is as large as that, so that sums of two of these are numbers.
  private func bytesOfFile(_ value: UInt64) throws(WireError) -> Int {
    guard value <= 1 << 60 else { throw WireError("a file of \(value) bytes") }
    return Int(value)
  }
}
