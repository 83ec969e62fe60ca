internal import CLockstepWire
internal import CProtobufC
package import LockstepConsensus

extension Codec {
  /// The payload of a configuration entry; of those there are few.
  package static func packed(_ members: Members) -> [UInt8] {
    let codec = Codec(maximumMessage: 0)
    codec.pack(members)
    return codec.packed
  }

  package static func members(from bytes: [UInt8]) throws(WireError) -> Members {
    let codec = Codec(maximumMessage: bytes.count)
    let outcome = bytes.withUnsafeBytes { bytes -> Result<Members, WireError> in
      do throws(WireError) { return .success(try codec.unpackMembers(bytes)) } catch { return .failure(error) }
    }
    return try outcome.get()
  }

  /// The payload of a configuration entry.
  package func pack(_ members: Members) {
    let memory = PackMemory()
    var message = Lockstep__Wire__V1__Configuration()
    lockstep__wire__v1__configuration__init(&message)
    message.n_voters = members.voters.count
    message.voters = memory.array(members.voters.map(\.rawValue))
    message.n_outgoing_voters = members.outgoingVoters.count
    message.outgoing_voters = memory.array(members.outgoingVoters.map(\.rawValue))
    message.n_learners = members.learners.count
    message.learners = memory.array(members.learners.map(\.rawValue))
    message.n_witnesses = members.witnesses.count
    message.witnesses = memory.array(members.witnesses.map(\.rawValue))
    message.n_disks = members.disks.count
    message.disks = memory.pointers(
      members.disks.map { disk in
        var packed = Lockstep__Wire__V1__MemberDisk()
        lockstep__wire__v1__member_disk__init(&packed)
        packed.node = disk.node.rawValue
        packed.disk = memory.bytes(disk.disk)
        return packed
      })
    pack(&message)
    memory.free()
  }

  package func unpackMembers(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> Members {
    try unpack(
      bytes, as: lockstep__wire__v1__configuration__descriptor_pointer(), Lockstep__Wire__V1__Configuration.self
    ) { message throws(WireError) in
      func nodes(_ pointer: UnsafeMutablePointer<UInt64>?, _ count: Int) -> [NodeID] {
        UnsafeBufferPointer(start: pointer, count: count).map { NodeID($0) }
      }
      let members = Members(
        voters: nodes(message.voters, message.n_voters),
        outgoingVoters: nodes(message.outgoing_voters, message.n_outgoing_voters),
        learners: nodes(message.learners, message.n_learners),
        witnesses: nodes(message.witnesses, message.n_witnesses),
        disks: elements(message.disks, message.n_disks).map { MemberDisk(node: NodeID($0.node), disk: $0.disk.array) })
      guard !members.voters.isEmpty, members.all.count <= 64, members.all.allSatisfy({ $0.rawValue > 0 }) else {
        throw WireError("a configuration without voters, with more than 64 members, or with a member 0")
      }
      guard members.disks.allSatisfy({ members.all.contains($0.node) && $0.disk.count == 16 }) else {
        throw WireError("a configuration with a disk of no member, or one that has not 16 bytes")
      }
      return members
    }
  }
}
