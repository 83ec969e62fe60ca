internal import CLockstepWire
internal import CProtobufC
package import LockstepConsensus

/// What a node found of a group on its disk when it started.
package struct Standing: Sendable, Equatable {
  package var group: GroupID
  package var term: Term
  package var last: EntryID

  package init(group: GroupID, term: Term, last: EntryID) {
    self.group = group
    self.term = term
    self.last = last
  }
}

/// Who a node is, as it says itself in its first words to another.
package struct PeerIdentity: Sendable, Equatable {
  package var cluster: [UInt8]
  package var node: NodeID
  package var disk: [UInt8]
  package var incarnation: UInt64
  package var fingerprint: String
  /// Drawn at random at each start; 0: from a program that knows none, which says nothing of what follows either.
  package var start: UInt64
  /// The members that it was started with, in ascending order.
  package var members: [NodeID]
  package var standings: [Standing]
  /// Its disk was put in place of another one that it had.
  package var isDiskReplaced: Bool
  /// So long it neither campaigns nor votes after it has heard a leader; 0: it does not say.
  package var peaceMilliseconds: UInt64
  /// So long it counts on the others to leave it in peace, as it answers reads on leases; 0: it does not.
  package var leaseMilliseconds: UInt64

  package init(
    cluster: [UInt8], node: NodeID, disk: [UInt8], incarnation: UInt64, fingerprint: String, start: UInt64 = 0,
    members: [NodeID] = [], standings: [Standing] = [], isDiskReplaced: Bool = false, peaceMilliseconds: UInt64 = 0,
    leaseMilliseconds: UInt64 = 0
  ) {
    self.isDiskReplaced = isDiskReplaced
    self.peaceMilliseconds = peaceMilliseconds
    self.leaseMilliseconds = leaseMilliseconds
    self.cluster = cluster
    self.node = node
    self.disk = disk
    self.incarnation = incarnation
    self.fingerprint = fingerprint
    self.start = start
    self.members = members
    self.standings = standings
  }
}

package struct PeerHello: Sendable, Equatable {
  package var versions: ClosedRange<UInt32>
  package var identity: PeerIdentity
  /// The node that the dialer believes it has reached.
  package var target: NodeID
  /// Snapshots are read over the connection, and nothing else goes over it.
  package var isForSnapshots: Bool

  package init(versions: ClosedRange<UInt32>, identity: PeerIdentity, target: NodeID, isForSnapshots: Bool = false) {
    self.versions = versions
    self.identity = identity
    self.target = target
    self.isForSnapshots = isForSnapshots
  }
}

extension Codec {
  package func pack(_ hello: PeerHello) {
    let memory = PackMemory()
    var message = Lockstep__Wire__V1__PeerHello()
    lockstep__wire__v1__peer_hello__init(&message)
    message.minimum_version = hello.versions.lowerBound
    message.maximum_version = hello.versions.upperBound
    message.node = hello.identity.node.rawValue
    message.incarnation = hello.identity.incarnation
    message.target = hello.target.rawValue
    message.start = hello.identity.start
    message.for_snapshots = hello.isForSnapshots ? 1 : 0
    message.disk_replaced = hello.identity.isDiskReplaced ? 1 : 0
    message.peace_milliseconds = hello.identity.peaceMilliseconds
    message.lease_milliseconds = hello.identity.leaseMilliseconds
    message.n_members = hello.identity.members.count
    message.members = memory.array(hello.identity.members.map(\.rawValue))
    withParts(of: hello.identity) { cluster, disk, fingerprint, standings in
      message.cluster = cluster
      message.disk = disk
      message.fingerprint = fingerprint
      message.n_standings = standings.count
      message.standings = standings.baseAddress
      pack(&message)
    }
    memory.free()
  }

  package func unpackHello(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> PeerHello {
    try unpack(
      bytes, as: lockstep__wire__v1__peer_hello__descriptor_pointer(), Lockstep__Wire__V1__PeerHello.self
    ) { message throws(WireError) in
      guard message.minimum_version <= message.maximum_version else {
        throw WireError("versions \(message.minimum_version) to \(message.maximum_version)")
      }
      return PeerHello(
        versions: message.minimum_version...message.maximum_version,
        identity: PeerIdentity(
          cluster: message.cluster.array, node: NodeID(message.node), disk: message.disk.array,
          incarnation: message.incarnation, fingerprint: text(message.fingerprint), start: message.start,
          members: nodes(message.members, message.n_members),
          standings: elements(message.standings, message.n_standings).map(Standing.init),
          isDiskReplaced: message.disk_replaced != 0, peaceMilliseconds: message.peace_milliseconds,
          leaseMilliseconds: message.lease_milliseconds),
        target: NodeID(message.target), isForSnapshots: message.for_snapshots != 0)
    }
  }

  package func pack(welcome identity: PeerIdentity, version: UInt32) {
    let memory = PackMemory()
    var message = Lockstep__Wire__V1__PeerWelcome()
    lockstep__wire__v1__peer_welcome__init(&message)
    message.version = version
    message.node = identity.node.rawValue
    message.incarnation = identity.incarnation
    message.start = identity.start
    message.disk_replaced = identity.isDiskReplaced ? 1 : 0
    message.peace_milliseconds = identity.peaceMilliseconds
    message.lease_milliseconds = identity.leaseMilliseconds
    message.n_members = identity.members.count
    message.members = memory.array(identity.members.map(\.rawValue))
    withParts(of: identity) { cluster, disk, fingerprint, standings in
      message.cluster = cluster
      message.disk = disk
      message.fingerprint = fingerprint
      message.n_standings = standings.count
      message.standings = standings.baseAddress
      pack(&message)
    }
    memory.free()
  }

  package func unpackWelcome(
    _ bytes: UnsafeRawBufferPointer
  ) throws(WireError) -> (version: UInt32, identity: PeerIdentity) {
    try unpack(
      bytes, as: lockstep__wire__v1__peer_welcome__descriptor_pointer(), Lockstep__Wire__V1__PeerWelcome.self
    ) { message throws(WireError) in
      (
        message.version,
        PeerIdentity(
          cluster: message.cluster.array, node: NodeID(message.node), disk: message.disk.array,
          incarnation: message.incarnation, fingerprint: text(message.fingerprint), start: message.start,
          members: nodes(message.members, message.n_members),
          standings: elements(message.standings, message.n_standings).map(Standing.init),
          isDiskReplaced: message.disk_replaced != 0, peaceMilliseconds: message.peace_milliseconds,
          leaseMilliseconds: message.lease_milliseconds)
      )
    }
  }

  /// `start`: that of the node whose welcome is accepted.
  package func pack(confirm start: UInt64) {
    var message = Lockstep__Wire__V1__PeerConfirm()
    lockstep__wire__v1__peer_confirm__init(&message)
    message.start = start
    pack(&message)
  }

  package func unpackConfirm(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> UInt64 {
    try unpack(
      bytes, as: lockstep__wire__v1__peer_confirm__descriptor_pointer(), Lockstep__Wire__V1__PeerConfirm.self
    ) { message throws(WireError) in message.start }
  }

  private func nodes(_ pointer: UnsafeMutablePointer<UInt64>?, _ count: Int) -> [NodeID] {
    UnsafeBufferPointer(start: pointer, count: pointer == nil ? 0 : count).map { NodeID($0) }
  }

  /// What hello and welcome have in common and protobuf-c borrows; valid inside only.
  private func withParts(
    of identity: PeerIdentity,
    _ body: (
      _ cluster: ProtobufCBinaryData, _ disk: ProtobufCBinaryData, _ fingerprint: UnsafeMutablePointer<CChar>,
      _ standings: UnsafeMutableBufferPointer<UnsafeMutablePointer<Lockstep__Wire__V1__Standing>?>
    ) -> Void
  ) {
    let standings = identity.standings.map { standing in
      var message = Lockstep__Wire__V1__Standing()
      lockstep__wire__v1__standing__init(&message)
      message.group = standing.group.rawValue
      message.term = standing.term.rawValue
      message.last_index = standing.last.index.rawValue
      message.last_term = standing.last.term.rawValue
      return message
    }
    withPointers(to: standings) { standings in
      withProtobufBytes(identity.cluster) { cluster in
        withProtobufBytes(identity.disk) { disk in
          withProtobufString(identity.fingerprint) { body(cluster, disk, $0, standings) }
        }
      }
    }
  }
}

extension Standing {
  fileprivate init(_ message: Lockstep__Wire__V1__Standing) {
    self.init(
      group: GroupID(message.group), term: Term(message.term),
      last: EntryID(term: Term(message.last_term), index: LogIndex(message.last_index)))
  }
}
