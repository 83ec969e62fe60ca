internal import CLockstepWire
internal import CProtobufC
package import LockstepConsensus

/// Where a group's log begins: behind this entry. Something else stands for all up to there.
package struct LogBase: Sendable, Equatable {
  package var id: EntryID
  /// Of that entry: the next one follows it.
  package var chain: UInt64
  /// The configuration as of that entry, as the payload of a configuration entry; empty at index 0.
  package var members: [UInt8]

  package init(id: EntryID, chain: UInt64, members: [UInt8]) {
    self.id = id
    self.chain = chain
    self.members = members
  }
}

extension LogBase {
  /// Valid until `memory` is freed.
  func message(in memory: PackMemory) -> UnsafeMutablePointer<Lockstep__Wire__V1__LogBase> {
    var message = Lockstep__Wire__V1__LogBase()
    lockstep__wire__v1__log_base__init(&message)
    message.index = id.index.rawValue
    message.term = id.term.rawValue
    message.chain = chain
    message.members = memory.bytes(members)
    return memory.array([message])
  }

  init(_ message: Lockstep__Wire__V1__LogBase) throws(WireError) {
    // The chain and the terms of all entries behind it are held against these.
    guard message.index > 0, message.index < .max, message.term > 0 else {
      throw WireError("a log that begins behind entry \(message.index) of term \(message.term)")
    }
    self.init(
      id: EntryID(term: Term(message.term), index: LogIndex(message.index)), chain: message.chain,
      members: message.members.array)
  }

  init?(at message: UnsafeMutablePointer<Lockstep__Wire__V1__LogBase>?) throws(WireError) {
    guard let message else { return nil }
    self = try LogBase(message.pointee)
  }

  init(decoding bytes: UnsafeRawBufferPointer) throws(WireError) {
    self = try diskCodec(for: bytes).unpack(
      bytes, as: lockstep__wire__v1__log_base__descriptor_pointer(), Lockstep__Wire__V1__LogBase.self
    ) { message throws(WireError) in try LogBase(message) }
  }
}
