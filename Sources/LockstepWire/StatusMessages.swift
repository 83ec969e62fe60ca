internal import CLockstepWire
internal import CProtobufC
internal import LockstepConsensus
package import LockstepRequests

extension Codec {
  package func pack(statusRequest id: UInt64) {
    var message = Lockstep__Wire__V1__StatusRequest()
    lockstep__wire__v1__status_request__init(&message)
    message.id = id
    pack(&message)
  }

  package func unpackStatusRequest(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> UInt64 {
    try unpack(
      bytes, as: lockstep__wire__v1__status_request__descriptor_pointer(), Lockstep__Wire__V1__StatusRequest.self
    ) { message throws(WireError) in message.id }
  }

  package func pack(_ status: NodeReport) {
    // A status is asked for rarely: its parts are packed into memory that lives until the end of this function.
    let memory = PackMemory()
    var message = Lockstep__Wire__V1__StatusReply()
    lockstep__wire__v1__status_reply__init(&message)
    message.id = status.id
    message.node = status.node
    message.cluster = memory.bytes(status.cluster)
    message.incarnation = status.incarnation
    message.version = memory.string(status.version)
    message.uptime_milliseconds = status.uptimeMilliseconds
    message.connections = status.connections
    message.resident_bytes = status.residentBytes
    message.n_groups = status.groups.count
    message.groups = memory.pointers(status.groups.map { pack($0, memory) })
    message.n_stages = status.stages.count
    message.stages = memory.pointers(status.stages.map { $0.packed(memory) })
    message.n_counters = status.counters.count
    message.counters = memory.pointers(status.counters.map { $0.packed(memory) })
    message.n_refused = status.refused.count
    message.refused = memory.pointers(status.refused.map { $0.packed(memory) })
    message.n_refused_by = status.refusedBy.count
    message.refused_by = memory.pointers(status.refusedBy.map { $0.packed(memory) })
    message.disk = status.disk.map { memory.array([$0.packed()]) }
    pack(&message)
    memory.free()
  }

  private func pack(_ group: GroupReport, _ memory: PackMemory) -> Lockstep__Wire__V1__GroupStatus {
    var message = Lockstep__Wire__V1__GroupStatus()
    lockstep__wire__v1__group_status__init(&message)
    message.group = group.group
    message.role = memory.string(group.role?.rawValue ?? "")
    message.term = group.term
    message.leader = group.leader
    message.first_index = group.firstIndex
    message.last_index = group.lastIndex
    message.durable_index = group.durableIndex
    message.commit_index = group.commitIndex
    message.applied_index = group.appliedIndex
    message.last_timestamp = group.lastTimestamp
    message.durable_timestamp = group.durableTimestamp
    message.applied_timestamp = group.appliedTimestamp
    message.digest = group.digest
    message.n_voters = group.voters.count
    message.voters = memory.array(group.voters)
    message.n_learners = group.learners.count
    message.learners = memory.array(group.learners)
    message.n_waiting = group.waiting.count
    message.waiting = memory.array(group.waiting)
    message.awaiting_admission = group.isAwaitingAdmission ? 1 : 0
    message.n_peers = group.peers.count
    message.peers = memory.pointers(
      group.peers.map { peer in
        var packed = Lockstep__Wire__V1__PeerStatus()
        lockstep__wire__v1__peer_status__init(&packed)
        packed.node = peer.node
        packed.match_index = peer.matchIndex
        packed.state = memory.string(peer.state?.rawValue ?? "")
        packed.connected = peer.isConnected ? 1 : 0
        return packed
      })
    message.snapshot = group.snapshot.map { memory.array([$0.packed()]) }
    message.snapshot_under_way = group.snapshotUnderWay
    message.install = group.install.map { memory.array([$0.packed(memory)]) }
    return message
  }

  package func unpackStatus(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> NodeReport {
    try unpack(
      bytes, as: lockstep__wire__v1__status_reply__descriptor_pointer(), Lockstep__Wire__V1__StatusReply.self
    ) { message throws(WireError) in
      var status = NodeReport()
      status.id = message.id
      status.node = message.node
      status.cluster = message.cluster.array
      status.incarnation = message.incarnation
      status.version = message.version.map { String(cString: $0) } ?? ""
      status.uptimeMilliseconds = message.uptime_milliseconds
      status.connections = message.connections
      status.residentBytes = message.resident_bytes
      status.groups = UnsafeBufferPointer(start: message.groups, count: message.n_groups)
        .compactMap { $0?.pointee }.map(unpack)
      status.stages = UnsafeBufferPointer(start: message.stages, count: message.n_stages)
        .compactMap { $0?.pointee }.map { StageFigures($0) }
      status.counters = UnsafeBufferPointer(start: message.counters, count: message.n_counters)
        .compactMap { $0?.pointee }.map { CounterFigure($0) }
      status.refused = elements(message.refused, message.n_refused).map(RefusalReport.init)
      status.refusedBy = elements(message.refused_by, message.n_refused_by).map(RefusalReport.init)
      status.disk = message.disk.map { DiskSpaceReport($0.pointee) }
      return status
    }
  }

  private func unpack(_ packed: Lockstep__Wire__V1__GroupStatus) -> GroupReport {
    var group = GroupReport()
    group.group = packed.group
    group.role = packed.role.flatMap { RoleKind(rawValue: String(cString: $0)) }
    group.term = packed.term
    group.leader = packed.leader
    group.firstIndex = packed.first_index
    group.lastIndex = packed.last_index
    group.durableIndex = packed.durable_index
    group.commitIndex = packed.commit_index
    group.appliedIndex = packed.applied_index
    group.lastTimestamp = packed.last_timestamp
    group.durableTimestamp = packed.durable_timestamp
    group.appliedTimestamp = packed.applied_timestamp
    group.digest = packed.digest
    group.voters = Array(UnsafeBufferPointer(start: packed.voters, count: packed.n_voters))
    group.learners = Array(UnsafeBufferPointer(start: packed.learners, count: packed.n_learners))
    group.waiting = Array(UnsafeBufferPointer(start: packed.waiting, count: packed.n_waiting))
    group.isAwaitingAdmission = packed.awaiting_admission != 0
    group.peers = UnsafeBufferPointer(start: packed.peers, count: packed.n_peers).compactMap { $0?.pointee }.map {
      PeerReport(
        node: $0.node, matchIndex: $0.match_index,
        state: $0.state.flatMap { Progress.State(rawValue: String(cString: $0)) },
        isConnected: $0.connected != 0)
    }
    group.snapshot = packed.snapshot.map { SnapshotReport($0.pointee) }
    group.snapshotUnderWay = packed.snapshot_under_way
    group.install = packed.install.map { InstallReport($0.pointee) }
    return group
  }
}

extension InstallReport {
  fileprivate func packed(_ memory: PackMemory) -> Lockstep__Wire__V1__InstallStatus {
    var message = Lockstep__Wire__V1__InstallStatus()
    lockstep__wire__v1__install_status__init(&message)
    message.source = source
    message.index = index
    message.bytes = bytes
    message.total_bytes = totalBytes
    message.bytes_per_second = bytesPerSecond
    message.waits_for = memory.bytes(Array((waitsFor ?? "").utf8))
    return message
  }

  fileprivate init(_ message: Lockstep__Wire__V1__InstallStatus) {
    self.init(source: message.source)
    index = message.index
    bytes = message.bytes
    totalBytes = message.total_bytes
    bytesPerSecond = message.bytes_per_second
    let reason = String(decoding: message.waits_for.array, as: UTF8.self)
    waitsFor = reason.isEmpty ? nil : reason
  }
}

extension DiskSpaceReport {
  fileprivate func packed() -> Lockstep__Wire__V1__DiskSpaceStatus {
    var message = Lockstep__Wire__V1__DiskSpaceStatus()
    lockstep__wire__v1__disk_space_status__init(&message)
    message.used_bytes = used
    message.limit_bytes = limit
    message.available_bytes = available
    message.missing_bytes = missing
    return message
  }

  fileprivate init(_ message: Lockstep__Wire__V1__DiskSpaceStatus) {
    self.init(used: message.used_bytes, limit: message.limit_bytes, available: message.available_bytes)
    missing = message.missing_bytes
  }
}

extension RefusalReport {
  fileprivate func packed(_ memory: PackMemory) -> Lockstep__Wire__V1__RefusalStatus {
    var message = Lockstep__Wire__V1__RefusalStatus()
    lockstep__wire__v1__refusal_status__init(&message)
    message.node = node
    message.reason = memory.bytes(Array(reason.utf8))
    return message
  }

  fileprivate init(_ message: Lockstep__Wire__V1__RefusalStatus) {
    self.init(node: message.node, reason: String(decoding: message.reason.array, as: UTF8.self))
  }
}

/// Memory that protobuf-c's structs may point into while a message with parts is packed.
final class PackMemory {
  private var blocks: [UnsafeMutableRawPointer] = []

  private func allocate<Element>(_ count: Int, of: Element.Type) -> UnsafeMutablePointer<Element> {
    let block = UnsafeMutableRawPointer.allocate(
      byteCount: max(1, count * MemoryLayout<Element>.stride), alignment: 16)
    blocks.append(block)
    return block.bindMemory(to: Element.self, capacity: max(1, count))
  }

  func array<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
    let copy = allocate(elements.count, of: Element.self)
    copy.initialize(from: elements, count: elements.count)
    return copy
  }

  func bytes(_ bytes: [UInt8]) -> ProtobufCBinaryData { ProtobufCBinaryData(len: bytes.count, data: array(bytes)) }

  func string(_ text: String) -> UnsafeMutablePointer<CChar> {
    array(text.utf8.map { CChar(bitPattern: $0 == 0 ? 32 : $0) } + [0])
  }

  func pointers<Message>(_ messages: [Message]) -> UnsafeMutablePointer<UnsafeMutablePointer<Message>?> {
    let base = array(messages)
    return array(messages.indices.map { base + $0 })
  }

  /// To be called once, when nothing points here any more.
  func free() {
    for block in blocks { block.deallocate() }
    blocks = []
  }
}
