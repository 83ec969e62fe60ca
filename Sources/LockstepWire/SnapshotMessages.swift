internal import CLockstepWire
internal import CProtobufC
package import LockstepConsensus

/// What a snapshot is of. Equal on all replicas that take one at the same entry.
package struct SnapshotHeader: Sendable, Equatable {
  package static let format: UInt32 = 1
  package var cluster: [UInt8]
  package var group: GroupID
  /// The last entry that is in it, and the configuration as of that entry.
  package var last: LogBase
  /// Where their peers reached the members.
  package var addresses: [DiskIdentity.Member]
  package var machineVersion: UInt32
  /// The highest time stamp of the entries that are in it, in nanoseconds since 1970.
  package var time: UInt64
  /// Of the machine.
  package var digest: UInt64

  package init(
    cluster: [UInt8], group: GroupID, last: LogBase, addresses: [DiskIdentity.Member], machineVersion: UInt32,
    time: UInt64, digest: UInt64
  ) {
    self.cluster = cluster
    self.group = group
    self.last = last
    self.addresses = addresses
    self.machineVersion = machineVersion
    self.time = time
    self.digest = digest
  }
}

/// How much a snapshot file holds.
package struct SnapshotTrailer: Sendable, Equatable {
  package var chunks: UInt64
  /// Of state, in all chunks.
  package var bytes: UInt64

  package init(chunks: UInt64, bytes: UInt64) {
    self.chunks = chunks
    self.bytes = bytes
  }
}

extension SnapshotHeader {
  package func encoded() -> [UInt8] {
    let codec = Codec(maximumMessage: 0)
    let memory = PackMemory()
    defer { memory.free() }
    var message = Lockstep__Wire__V1__SnapshotHeader()
    lockstep__wire__v1__snapshot_header__init(&message)
    message.format = Self.format
    message.cluster = memory.bytes(cluster)
    message.group = group.rawValue
    message.last = last.message(in: memory)
    message.n_members = addresses.count
    message.members = memory.pointers(
      addresses.map { known in
        var member = Lockstep__Wire__V1__Member()
        lockstep__wire__v1__member__init(&member)
        member.id = known.node.rawValue
        member.address = memory.string(known.address)
        return member
      })
    message.machine_version = machineVersion
    message.time = time
    message.digest = digest
    codec.pack(&message)
    return codec.packed
  }

  package init(decoding bytes: UnsafeRawBufferPointer) throws(WireError) {
    self = try diskCodec(for: bytes).unpack(
      bytes, as: lockstep__wire__v1__snapshot_header__descriptor_pointer(), Lockstep__Wire__V1__SnapshotHeader.self
    ) { message throws(WireError) in
      guard message.format == Self.format else {
        throw WireError("format \(message.format), where this version knows \(Self.format)")
      }
      guard message.cluster.len == 16, message.group > 0, let last = try LogBase(at: message.last) else {
        throw WireError("a snapshot without a cluster, a group or a last entry")
      }
      return SnapshotHeader(
        cluster: message.cluster.array, group: GroupID(message.group), last: last,
        addresses: elements(message.members, message.n_members).map {
          DiskIdentity.Member(node: NodeID($0.id), address: $0.address.map { String(cString: $0) } ?? "")
        }, machineVersion: message.machine_version, time: message.time, digest: message.digest)
    }
  }
}

extension SnapshotTrailer {
  package func encoded() -> [UInt8] {
    let codec = Codec(maximumMessage: 0)
    var message = Lockstep__Wire__V1__SnapshotTrailer()
    lockstep__wire__v1__snapshot_trailer__init(&message)
    message.chunks = chunks
    message.bytes = self.bytes
    codec.pack(&message)
    return codec.packed
  }

  package init(decoding bytes: UnsafeRawBufferPointer) throws(WireError) {
    self = try diskCodec(for: bytes).unpack(
      bytes, as: lockstep__wire__v1__snapshot_trailer__descriptor_pointer(), Lockstep__Wire__V1__SnapshotTrailer.self
    ) { SnapshotTrailer(chunks: $0.chunks, bytes: $0.bytes) }
  }
}
