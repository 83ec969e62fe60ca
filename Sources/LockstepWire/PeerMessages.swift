internal import CLockstepWire
internal import CProtobufC
package import LockstepConsensus

/// The first words between two nodes.
package struct PeerIdentity: Sendable, Equatable {
  package var cluster: [UInt8]
  package var node: NodeID
  package var disk: [UInt8]
  package var incarnation: UInt64
  package var fingerprint: String

  package init(cluster: [UInt8], node: NodeID, disk: [UInt8], incarnation: UInt64, fingerprint: String) {
    self.cluster = cluster
    self.node = node
    self.disk = disk
    self.incarnation = incarnation
    self.fingerprint = fingerprint
  }
}

package struct PeerHello: Sendable, Equatable {
  package var versions: ClosedRange<UInt32>
  package var identity: PeerIdentity
  /// The node that the dialer believes it has reached.
  package var target: NodeID

  package init(versions: ClosedRange<UInt32>, identity: PeerIdentity, target: NodeID) {
    self.versions = versions
    self.identity = identity
    self.target = target
  }
}

extension Codec {
  package func pack(_ hello: PeerHello) {
    var message = Lockstep__Wire__V1__PeerHello()
    lockstep__wire__v1__peer_hello__init(&message)
    message.minimum_version = hello.versions.lowerBound
    message.maximum_version = hello.versions.upperBound
    message.node = hello.identity.node.rawValue
    message.incarnation = hello.identity.incarnation
    message.target = hello.target.rawValue
    withProtobufBytes(hello.identity.cluster) { cluster in
      withProtobufBytes(hello.identity.disk) { disk in
        withProtobufString(hello.identity.fingerprint) { fingerprint in
          message.cluster = cluster
          message.disk = disk
          message.fingerprint = fingerprint
          pack(&message)
        }
      }
    }
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
          incarnation: message.incarnation, fingerprint: text(message.fingerprint)),
        target: NodeID(message.target))
    }
  }

  package func pack(welcome identity: PeerIdentity, version: UInt32) {
    var message = Lockstep__Wire__V1__PeerWelcome()
    lockstep__wire__v1__peer_welcome__init(&message)
    message.version = version
    message.node = identity.node.rawValue
    message.incarnation = identity.incarnation
    withProtobufBytes(identity.cluster) { cluster in
      withProtobufBytes(identity.disk) { disk in
        withProtobufString(identity.fingerprint) { fingerprint in
          message.cluster = cluster
          message.disk = disk
          message.fingerprint = fingerprint
          pack(&message)
        }
      }
    }
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
          incarnation: message.incarnation, fingerprint: text(message.fingerprint))
      )
    }
  }

  package func pack(refusal reason: String) {
    var message = Lockstep__Wire__V1__Refusal()
    lockstep__wire__v1__refusal__init(&message)
    withProtobufString(reason) {
      message.reason = $0
      pack(&message)
    }
  }

  package func unpackRefusal(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> String {
    try unpack(bytes, as: lockstep__wire__v1__refusal__descriptor_pointer(), Lockstep__Wire__V1__Refusal.self) {
      message throws(WireError) in
      // A stranger's words go into our log: short, and without control characters.
      String(
        text(message.reason).unicodeScalars.filter { $0.value >= 32 && $0.value != 127 }.prefix(500).map(Character.init)
      )
    }
  }

  private func text(_ string: UnsafeMutablePointer<CChar>?) -> String { string.map { String(cString: $0) } ?? "" }
}
