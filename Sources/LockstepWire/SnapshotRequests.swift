internal import CLockstepWire
internal import CProtobufC
package import LockstepRequests

// An operator asks a node for a snapshot.

package struct SnapshotReply: Sendable {
  package var id: UInt64
  package var node: UInt64
  /// The snapshot, and how long it took in nanoseconds: 0 when it was there already.
  package var outcome: Result<(snapshot: SnapshotReport, nanoseconds: UInt64), CallStatus>

  package init(id: UInt64, node: UInt64, outcome: Result<(snapshot: SnapshotReport, nanoseconds: UInt64), CallStatus>) {
    self.id = id
    self.node = node
    self.outcome = outcome
  }
}

extension Codec {
  package func pack(snapshotRequest id: UInt64) {
    var message = Lockstep__Wire__V1__SnapshotRequest()
    lockstep__wire__v1__snapshot_request__init(&message)
    message.id = id
    pack(&message)
  }

  package func unpackSnapshotRequest(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> (id: UInt64, group: UInt64) {
    try unpack(
      bytes, as: lockstep__wire__v1__snapshot_request__descriptor_pointer(), Lockstep__Wire__V1__SnapshotRequest.self
    ) { message throws(WireError) in (message.id, message.group) }
  }

  package func pack(_ reply: SnapshotReply) {
    let memory = PackMemory()
    defer { memory.free() }
    var message = Lockstep__Wire__V1__SnapshotReply()
    lockstep__wire__v1__snapshot_reply__init(&message)
    message.id = reply.id
    message.node = reply.node
    switch reply.outcome {
    case .success(let done):
      message.snapshot = memory.array([done.snapshot.packed()])
      message.nanoseconds = done.nanoseconds
    case .failure(let status):
      message.code = UInt32(status.code.rawValue)
      message.message = memory.bytes(Array(status.message.utf8))
    }
    pack(&message)
  }

  package func unpackSnapshotReply(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> SnapshotReply {
    try unpack(
      bytes, as: lockstep__wire__v1__snapshot_reply__descriptor_pointer(), Lockstep__Wire__V1__SnapshotReply.self
    ) { message throws(WireError) in
      if let snapshot = message.snapshot?.pointee, message.code == 0 {
        return SnapshotReply(
          id: message.id, node: message.node, outcome: .success((SnapshotReport(snapshot), message.nanoseconds)))
      }
      let code = UInt8(exactly: message.code).flatMap { CallStatus.Code(rawValue: $0) } ?? .unknown
      guard code != .ok else { throw WireError("an answer without a snapshot") }
      let text = String(decoding: message.message.array, as: UTF8.self)
      return SnapshotReply(id: message.id, node: message.node, outcome: .failure(CallStatus(code, text)))
    }
  }
}

extension SnapshotReport {
  init(_ packed: Lockstep__Wire__V1__SnapshotStatus) {
    self.init(index: packed.index, term: packed.term, bytes: packed.bytes)
  }

  func packed() -> Lockstep__Wire__V1__SnapshotStatus {
    var message = Lockstep__Wire__V1__SnapshotStatus()
    lockstep__wire__v1__snapshot_status__init(&message)
    message.index = index
    message.term = term
    message.bytes = self.bytes
    return message
  }
}
