package import LockstepConsensus
package import LockstepWire

/// The first words of a connection between two nodes, seen from one end. A value: words and answers go in, actions come
/// out, and whoever owns the connection carries them out, in order.
///
///     dialer                                  accepted
///       hello: who I am, whom I want    →
///                                       ←      welcome: who I am            (nothing is remembered yet)
///       remembers, durably
///       confirm                         →
///       sends                                  remembers, durably, and only then listens
///
/// Each end holds what the other says against what it was started with and what it remembers, and remembers only whom
/// both have accepted. Either may refuse at any moment; the connection is closed after that.
package struct Handshake: Sendable {
  package enum Word: Sendable, Equatable {
    case hello(PeerHello)
    case welcome(PeerIdentity, version: UInt32)
    case confirm(start: UInt64)
    /// `isForDisk`: the one that says it remembers more of the other's disk than the other has.
    case refusal(String, isForDisk: Bool)
  }

  package enum Action: Sendable, Equatable {
    case say(Word)
    /// Remember it, durably, then say so with `remembered`. No frame is to be taken in meanwhile.
    case remember(PeerIdentity)
    /// It is who it says, and so is this node to it.
    case establish(PeerIdentity)
    /// Close the connection, when what was said has gone out.
    case close(Ending)
  }

  package enum Ending: Sendable, Equatable {
    case refused(PeerRefusal)
    /// The other node refuses this one, in its own words.
    case refusedByOther(String, isForDisk: Bool)
  }

  private enum State: Sendable {
    case awaitingHello
    case awaitingWelcome(from: NodeID)
    case awaitingConfirm(PeerIdentity)
    case remembering(PeerIdentity, thenConfirms: Bool)
    case established
    case over
  }

  private let identity: PeerIdentity
  private var state: State
  /// The other end: dialed, whom that should be; accepted, whom it says to be.
  package private(set) var peer: NodeID?
  /// Snapshots are read over this connection: whoever dials says so.
  package private(set) var isForSnapshots = false

  /// An accepted connection: the other node speaks first. `identity`: of this node.
  package init(accepting identity: PeerIdentity) {
    self.identity = identity
    state = .awaitingHello
  }

  /// A dialed connection: say the hello that comes with it.
  package static func dialing(
    _ node: NodeID, as identity: PeerIdentity, isForSnapshots: Bool = false
  ) -> (Handshake, hello: Word) {
    var handshake = Handshake(accepting: identity)
    handshake.state = .awaitingWelcome(from: node)
    handshake.peer = node
    handshake.isForSnapshots = isForSnapshots
    let versions = PeerVersion.oldest...PeerVersion.current
    return (
      handshake,
      .hello(PeerHello(versions: versions, identity: identity, target: node, isForSnapshots: isForSnapshots))
    )
  }

  package var isEstablished: Bool {
    if case .established = state { true } else { false }
  }

  /// What the other end says, held against what is remembered.
  package mutating func received(_ word: Word, _ memory: PeerMemory) -> [Action] {
    if case .over = state { return [] }
    if case .refusal(let reason, let isForDisk) = word {
      state = .over
      return [.close(.refusedByOther(reason, isForDisk: isForDisk))]
    }
    switch (state, word) {
    case (.awaitingHello, .hello(let hello)):
      let theirs = hello.versions
      guard theirs.overlaps(PeerVersion.oldest...PeerVersion.current) else { return refuse(.versions(theirs)) }
      guard hello.target == identity.node else {
        return refuse(.otherTarget(hello.target, here: identity.node))
      }
      let other = hello.identity
      if let refusal = refusal(of: other, memory) { return refuse(refusal) }
      peer = other.node
      isForSnapshots = hello.isForSnapshots
      state = .awaitingConfirm(other)
      return [.say(.welcome(identity, version: min(theirs.upperBound, PeerVersion.current)))]
    case (.awaitingWelcome(let expected), .welcome(let other, let version)):
      guard (PeerVersion.oldest...PeerVersion.current).contains(version) else {
        return refuse(.versions(version...version))
      }
      guard other.node == expected || other.cluster != identity.cluster else {
        return refuse(.otherNode(other.node, expected: expected))
      }
      if let refusal = refusal(of: other, memory) { return refuse(refusal) }
      state = .remembering(other, thenConfirms: true)
      return [.remember(other)]
    case (.awaitingConfirm(let other), .confirm(let start)):
      guard start == identity.start else { return refuse(.unexpected("it confirms another start of this node")) }
      // Another connection may have brought something to light meanwhile.
      if let refusal = memory.refusal(of: other) { return refuse(refusal) }
      state = .remembering(other, thenConfirms: false)
      return [.remember(other)]
    case (.awaitingHello, _), (.awaitingWelcome, _), (.awaitingConfirm, _), (.remembering, _), (.established, _),
      (.over, _):
      return refuse(.unexpected("\(word.name), out of turn"))
    }
  }

  /// What `remember` has asked for is durable.
  package mutating func remembered() -> [Action] {
    guard case .remembering(let other, let confirms) = state else { return [] }
    state = .established
    return (confirms ? [.say(.confirm(start: other.start))] : []) + [.establish(other)]
  }

  private mutating func refuse(_ refusal: PeerRefusal) -> [Action] {
    state = .over
    return [.say(.refusal(refusal.description, isForDisk: refusal.isForLostPromises)), .close(.refused(refusal))]
  }

  private func refusal(of other: PeerIdentity, _ memory: PeerMemory) -> PeerRefusal? {
    if other.cluster != identity.cluster {
      return .otherCluster(other.node, theirs: other.cluster, ours: identity.cluster)
    }
    if other.node == identity.node { return .ownNumber(other.node) }
    if other.members != identity.members {
      return .otherMembers(other.node, theirs: other.members, here: identity.node, ours: identity.members)
    }
    if !identity.members.contains(other.node) { return .noMember(other.node, members: identity.members) }
    if other.disk.count != 16 { return .malformed(other.node, "a disk id of \(other.disk.count) bytes") }
    if other.start == 0 || other.incarnation == 0 { return .malformed(other.node, "a start without an id") }
    let both = [(other, identity), (identity, other)]
    for (one, another) in both where one.peaceMilliseconds < another.leaseMilliseconds {
      return .shortPeace(
        one.node, milliseconds: one.peaceMilliseconds, counting: another.node, lease: another.leaseMilliseconds)
    }
    return memory.refusal(of: other)
  }
}

extension Handshake.Word {
  package var name: String {
    switch self {
    case .hello: "a hello"
    case .welcome: "a welcome"
    case .confirm: "a confirmation"
    case .refusal: "a refusal"
    }
  }

  /// Nil for a frame that is no word of a handshake.
  package init?(_ kind: FrameKind, _ bytes: UnsafeRawBufferPointer, _ codec: Codec) throws(WireError) {
    switch kind {
    case .peerHello: self = .hello(try codec.unpackHello(bytes))
    case .peerWelcome:
      let (version, identity) = try codec.unpackWelcome(bytes)
      self = .welcome(identity, version: version)
    case .peerConfirm: self = .confirm(start: try codec.unpackConfirm(bytes))
    case .refusal:
      let (reason, isForDisk) = try codec.unpackWholeRefusal(bytes)
      self = .refusal(reason, isForDisk: isForDisk)
    default: return nil
    }
  }

  /// Leaves the payload in `codec.packed`.
  package func pack(_ codec: Codec) -> FrameKind {
    switch self {
    case .hello(let hello):
      codec.pack(hello)
      return .peerHello
    case .welcome(let identity, let version):
      codec.pack(welcome: identity, version: version)
      return .peerWelcome
    case .confirm(let start):
      codec.pack(confirm: start)
      return .peerConfirm
    case .refusal(let reason, let isForDisk):
      codec.pack(refusal: reason, isForDisk: isForDisk)
      return .refusal
    }
  }
}
