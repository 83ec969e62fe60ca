internal import CLockstepWire
internal import CProtobufC
package import LockstepConsensus

/// What another node has acknowledged to this one: it must never come back with less.
package struct Acknowledged: Sendable, Equatable {
  package var node: NodeID
  package var group: GroupID
  /// It has stored this term, or a later one.
  package var term: Term
  /// It has stored all up to this entry, and this entry is committed: no leader will ever replace it.
  package var index: LogIndex
  /// On this disk; empty: on the one that it began with.
  package var disk: [UInt8]

  package init(node: NodeID, group: GroupID, term: Term, index: LogIndex, disk: [UInt8] = []) {
    self.disk = disk
    self.node = node
    self.group = group
    self.term = term
    self.index = index
  }

  package static func encoded(_ list: [Acknowledged]) -> [UInt8] {
    let codec = Codec(maximumMessage: 0)
    var message = Lockstep__Wire__V1__Acknowledgements()
    lockstep__wire__v1__acknowledgements__init(&message)
    let memory = PackMemory()
    defer { memory.free() }
    let messages = list.map { one in
      var message = Lockstep__Wire__V1__Acknowledged()
      lockstep__wire__v1__acknowledged__init(&message)
      message.node = one.node.rawValue
      message.group = one.group.rawValue
      message.term = one.term.rawValue
      message.index = one.index.rawValue
      message.disk = memory.bytes(one.disk)
      return message
    }
    withPointers(to: messages) { pointers in
      message.n_acknowledged = pointers.count
      message.acknowledged = pointers.baseAddress
      codec.pack(&message)
    }
    return codec.packed
  }

  package static func decoded(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> [Acknowledged] {
    try diskCodec(for: bytes).unpack(
      bytes, as: lockstep__wire__v1__acknowledgements__descriptor_pointer(), Lockstep__Wire__V1__Acknowledgements.self
    ) { message throws(WireError) in
      elements(message.acknowledged, message.n_acknowledged).map {
        Acknowledged(
          node: NodeID($0.node), group: GroupID($0.group), term: Term($0.term), index: LogIndex($0.index),
          disk: $0.disk.array)
      }
    }
  }
}
