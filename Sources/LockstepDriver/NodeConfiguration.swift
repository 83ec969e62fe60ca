package import LockstepConsensus
package import LockstepWire

extension Node {
  package struct Configuration: Sendable {
    package var id: NodeID
    package var members: Members
    /// Where the members' peers reach them, as snapshots record it.
    package var addresses: [DiskIdentity.Member]
    package var preferredLeader: NodeID?
    package var cluster: [UInt8]
    package var limits: Limits
    package var driver: DriverLimits
    package var seed: UInt64
    /// This node's disk, and whether it was put in place of another one that the node had; nil: nobody asks.
    package var disk: [UInt8]?
    package var isDiskReplaced = false
    package init(
      id: NodeID, members: Members, addresses: [DiskIdentity.Member] = [], preferredLeader: NodeID?, cluster: [UInt8],
      limits: Limits,
      driver: DriverLimits, seed: UInt64
    ) {
      self.id = id
      self.members = members
      self.addresses = addresses
      self.preferredLeader = preferredLeader
      self.cluster = cluster
      self.limits = limits
      self.driver = driver
      self.seed = seed
    }
  }

  /// The largest payload of a frame to a client: a reply that is somewhat larger than any request.
  package static func clientFrameBytes(requestBytes: Int) -> Int { max(4 * 1024 * 1024, requestBytes + 64 * 1024) }

  /// Where the ids begin that other nodes answer to: far from those of any other start.
  static func firstID(seed: UInt64) -> UInt64 {
    var generator = Generator(seed: seed)
    return generator.next() >> 2 | 1
  }
}
