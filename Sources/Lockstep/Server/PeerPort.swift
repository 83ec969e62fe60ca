import LockstepConsensus
import LockstepDriver
import LockstepPeers
import LockstepRequests
import LockstepStorage
import LockstepTransport
import LockstepWire
import Logging
import NIOCore

/// The connections between this node and the others: it dials each, for what it says, and accepts from each, for what
/// it hears. Nobody is listened to before the handshake has shown who it is: of this cluster, on the disk that it has
/// always had, and not on an older copy of it.
final class PeerPort {
  /// Where what is remembered of the other nodes is kept.
  struct Store {
    /// Durable when `done` is called, on any thread.
    let peers: ([DiskIdentity.Peer], _ done: @escaping @Sendable (StorageError?) -> Void) -> Void
    /// Written some time; `failed` is called if that fails, on any thread.
    let acknowledged: ([Acknowledged], _ failed: @escaping @Sendable (StorageError) -> Void) -> Void
  }

  final class Context {
    var handshake: Handshake
    /// Established: who it is.
    var other: PeerIdentity?
    /// Another disk is meant by its number now: nothing that still comes from it is taken in.
    var isFormer = false
    /// Frames that came from it.
    var heard = 0
    /// Why the handshake came to nothing; it was logged.
    var isRefused = false
    /// Accepted and established: where answers go to the calls that it passes on.
    var replies: FramedReplies?
    init(_ handshake: Handshake) { self.handshake = handshake }
  }

  weak var server: ServerLoop?
  let identity: PeerIdentity
  let eventLoop: any EventLoop
  let log: RepeatingLog
  let store: Store
  private let addresses: AddressBook
  private let limits: TransportLimits
  /// For the handshake, whose messages are short.
  private let codec: Codec
  /// For what follows it.
  let frames: Codec
  /// Of the answer to a call that was passed on.
  private let maximumReplyBytes: Int
  /// Authoritative: what the disk has of it follows.
  var memory: PeerMemory
  /// Nodes that refuse this one, and that this one refuses, and that have not been accepted since; why.
  private var refusing: [(node: NodeID, reason: String)] = []
  private var refused: [(node: NodeID, reason: String)] = []
  var links: [(id: NodeID, link: Link, connection: Connection?)] = []
  var accepted: [(id: NodeID, connection: Connection)] = []
  /// Nodes that have come in place of one that seemed to be there, and how much had been heard of that one then.
  var silence: [(node: NodeID, heard: Int)] = []
  private var listener: Listener?
  /// To the node whose snapshot is fetched.
  private var snapshotLink: (id: NodeID, link: Link)?
  weak var receiver: SnapshotReceiver?
  weak var sender: SnapshotSender?

  init(
    identity: PeerIdentity, addresses: AddressBook, memory: PeerMemory, eventLoop: any EventLoop, log: RepeatingLog,
    store: Store, maximumReplyBytes: Int
  ) {
    self.identity = identity
    self.addresses = addresses
    self.memory = memory
    self.eventLoop = eventLoop
    self.log = log
    self.store = store
    // The same on all nodes, whatever each takes from its clients: what one has committed, all can send and read.
    var limits = TransportLimits.peer
    limits.maximumFrameLength = PeerFrame.maximumLength
    limits.maximumConnections = ProcessFiles.connections().peers
    limits.outboundBytes = max(limits.outboundBytes, 2 * (limits.maximumFrameLength + Frame.headerLength))
    self.limits = limits
    codec = Codec(maximumMessage: limits.handshakeFrameLength)
    frames = Codec(maximumMessage: limits.maximumFrameLength)
    self.maximumReplyBytes = maximumReplyBytes
  }

  func bind(_ endpoint: Endpoint, _ completion: @escaping (Result<Void, any Error>) -> Void) {
    Listener.bind(
      host: endpoint.host, port: endpoint.port, on: eventLoop, limits: limits, delegate: self
    ) { result in
      completion(result.map { self.listener = $0 })
    }
  }

  func dialAll() {
    for member in addresses.others(than: identity.node) {
      let link = link(to: member)
      links.append((member.node, link, nil))
      link.start()
    }
  }

  private func link(to member: DiskIdentity.Member) -> Link {
    guard let endpoint = Endpoint(member.address) else {
      preconditionFailure("the address \(member.address) was made from an endpoint")
    }
    return Link(
      host: endpoint.host, port: endpoint.port, on: eventLoop, limits: limits,
      seed: identity.node.rawValue << 32 ^ member.node.rawValue, delegate: self)
  }

  /// The receiver is told what comes of it, once.
  func dialForSnapshots(_ node: NodeID) {
    hangUpForSnapshots()
    guard let member = addresses.others(than: identity.node).first(where: { $0.node == node }) else {
      preconditionFailure("node \(node) is no member")
    }
    let link = link(to: member)
    snapshotLink = (node, link)
    link.start()
  }

  func hangUpForSnapshots() {
    snapshotLink?.link.stop(reason: .local("no more of the snapshot is needed"))
    snapshotLink = nil
  }

  private func snapshotLinkFailed(_ reason: String) {
    hangUpForSnapshots()
    receiver?.closed(reason)
  }

  /// `done` is called when the port is free.
  func stop(_ done: @escaping () -> Void) {
    for (_, link, _) in links { link.stop(reason: .local("this node stops")) }
    hangUpForSnapshots()
    guard let listener else { return done() }
    listener.close(reason: .local("this node stops"), completion: done)
  }

  // MARK: What is remembered

  /// Takes note of how far the others have acknowledged; to be called now and then.
  func noteAcknowledged() {
    guard let known = server?.node.leaderKnowledge else { return }
    var isNews = false
    for (group, knowledge) in known {
      memory.noteNotLeading(group)
      guard let knowledge else { continue }
      for match in knowledge.matches {
        isNews =
          memory.noteAcknowledged(
            match.node, group: group, term: knowledge.term, match: match.index, commit: knowledge.commit) || isNews
      }
    }
    guard isNews else { return }
    let box = NIOLoopBound(self, eventLoop: eventLoop)
    let eventLoop = eventLoop
    store.acknowledged(memory.acknowledged) { error in
      eventLoop.execute {
        box.value.log.log(
          .warning, "memory", "failed",
          "how far the other nodes have acknowledged cannot be stored, so an older copy of their directories may go unnoticed: \(error)"
        )
      }
    }
  }

  private func remember(_ other: PeerIdentity, _ connection: Connection) {
    // What arrives meanwhile waits until it is known, durably, whom it is from.
    connection.pauseReading()
    // Before anything that it says, and before what its former disk has said is forgotten.
    tellOfDisk(other)
    memory.remember(other)
    let box = NIOLoopBound((port: self, connection: connection), eventLoop: eventLoop)
    let eventLoop = eventLoop
    store.peers(memory.peers) { error in
      eventLoop.execute {
        let (port, connection) = box.value
        if case .outOfSpace(let reason)? = error {
          // It is refused until it can be remembered, and tries again.
          connection.close(reason: .local("node \(other.node) cannot be remembered: \(reason)"))
        } else if let error {
          // Without its memory of the others this node could take part with nobody, and would stay alone for ever.
          port.server?.diskFailed(error)
        } else if connection.isOpen, let context = connection.context as? Context {
          port.carryOut(context.handshake.remembered(), connection, context)
          connection.resumeReading()
        }
      }
    }
  }

  // MARK: Handshake

  private func say(_ word: Handshake.Word, _ connection: Connection) {
    let kind = word.pack(codec)
    _ = codec.packed.withUnsafeBytes {
      connection.send(kind: kind.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    connection.flush()
  }

  private func received(_ word: Handshake.Word, _ connection: Connection, _ context: Context) {
    // A leader counts on what it was told a moment ago.
    noteAcknowledged()
    memory.present = present
    carryOut(context.handshake.received(word, memory), connection, context)
  }

  private func carryOut(_ actions: [Handshake.Action], _ connection: Connection, _ context: Context) {
    for action in actions {
      switch action {
      case .say(let word): say(word, connection)
      case .remember(let other): remember(other, connection)
      case .establish(let other): establish(other, connection, context)
      case .close(let ending): end(ending, connection, context)
      }
    }
  }

  private func establish(_ other: PeerIdentity, _ connection: Connection, _ context: Context) {
    let peer = other.node
    connection.established()
    context.other = other
    if context.handshake.isForSnapshots {
      if connection.role == .accepted {
        sender?.established(connection, with: peer)
      } else {
        receiver?.established(connection)
      }
      return
    }
    if refusing.contains(where: { $0.node == peer }) { server?.node.diskRefused(by: peer, false) }
    refusing.removeAll { $0.node == peer }
    refused.removeAll { $0.node == peer }
    silence.removeAll { $0.node == peer }
    if connection.role == .accepted {
      context.replies = FramedReplies(
        PeerReplies(self, peer: peer, maximumReplyBytes: maximumReplyBytes), codec: frames, form: .forwarded)
      // A node that dials again has given up its former connection, whether or not that is known here yet.
      for former in accepted where former.id == peer {
        former.connection.closeNow(reason: .local("node \(peer) has connected anew"))
      }
      accepted.append((peer, connection))
      // It is back: what this node has to say to it, calls to pass on among it, need not wait for the next redial.
      links.first { $0.id == peer }?.link.dialNow()
      return
    }
    guard let place = links.firstIndex(where: { $0.id == peer }) else { return }
    links[place].connection = connection
    log.log(.info, "to node \(peer)", "connected", "connected to node \(peer) at \(connection.remoteAddress)")
    if other.fingerprint != identity.fingerprint {
      log.log(
        .warning, "release of node \(peer)", other.fingerprint,
        "node \(peer) is \(other.fingerprint), this node is \(identity.fingerprint)")
    }
    server?.node.linkChanged(peer, isUp: true)
    server?.scheduleTurn()
  }

  /// Tells whoever can act on this side; the other side does the same.
  private func end(_ ending: Handshake.Ending, _ connection: Connection, _ context: Context) {
    context.isRefused = true
    let name = context.handshake.peer.map { "node \($0)" } ?? "a node at \(connection.remoteAddress)"
    switch ending {
    case .refused(let refusal):
      log.log(.warning, "refused here", "\(refusal)", "\(name) is refused: \(refusal)")
      connection.close(reason: .local("refused: \(refusal)"))
      if let peer = refusal.disk {
        refused.removeAll { $0.node == peer }
        refused.append((peer, "\(refusal)"))
      }
      if case .stillConnected(let peer) = refusal { doubt(peer) }
    case .refusedByOther(let reason, let isForDisk):
      log.log(.error, "refused by \(name)", reason, "\(name) refuses this node: \(reason)")
      connection.close(reason: .local("refused by \(name): \(reason)"))
      guard let peer = context.handshake.peer else { return }
      noteRefused(by: peer, reason)
      if isForDisk {
        log.log(
          .error, "no elections because of \(name)", reason,
          "this node takes part in no election until \(name) takes it in again: what it has promised may be lost here")
        server?.node.diskRefused(by: peer, true)
        server?.scheduleTurn()
      }
    }
  }

  private func noteRefused(by peer: NodeID, _ reason: String) {
    refusing.removeAll { $0.node == peer }
    refusing.append((peer, reason))
    let others = addresses.nodes.count - 1
    guard others - refusing.count < (others + 1) / 2 else { return }
    let names = refusing.map(\.node).sorted().map(\.description).joined(separator: ", ")
    log.log(
      .error, "refused by so many", names,
      "this node is refused by \(refusing.count == 1 ? "node" : "nodes") \(names), of \(others) others, and takes part in nothing until that is mended: \(reason)"
    )
  }
}

extension PeerPort {
  /// For the status: whom this node does not let take part, and who does not let this one.
  var refusals: (here: [RefusalReport], byOthers: [RefusalReport]) {
    func reports(_ list: [(node: NodeID, reason: String)]) -> [RefusalReport] {
      list.sorted { $0.node < $1.node }.map { RefusalReport(node: $0.node.rawValue, reason: $0.reason) }
    }
    return (reports(refused), reports(refusing))
  }
}

extension PeerPort: ConnectionDelegate {
  func connectionOpened(_ connection: Connection) {
    guard connection.role == .dialed else {
      connection.context = Context(Handshake(accepting: identity))
      return
    }
    if let (peer, link) = snapshotLink, link.connection === connection {
      let (handshake, hello) = Handshake.dialing(peer, as: identity, isForSnapshots: true)
      connection.context = Context(handshake)
      say(hello, connection)
      return
    }
    guard let (peer, _, _) = links.first(where: { $0.link.connection === connection }) else {
      connection.closeNow(reason: .local("not wanted any more"))
      return
    }
    let (handshake, hello) = Handshake.dialing(peer, as: identity)
    connection.context = Context(handshake)
    say(hello, connection)
  }

  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    guard let context = connection.context as? Context else { return }
    do throws(WireError) {
      guard let kind = FrameKind(rawValue: kind) else { throw WireError("a frame of the unknown kind \(kind)") }
      // What is refused is refused at any time.
      guard context.handshake.isEstablished, kind != .refusal else {
        guard let word = try Handshake.Word(kind, payload, codec) else {
          throw WireError("a frame of kind \(kind.rawValue), before the handshake is complete")
        }
        received(word, connection, context)
        return
      }
      if context.handshake.isForSnapshots { return try receivedOfSnapshot(kind, payload, connection) }
      guard connection.role == .accepted, let peer = context.handshake.peer else {
        throw WireError("a frame of kind \(kind.rawValue) on a connection that carries none this way")
      }
      guard let node = server?.node, let replies = context.replies, !context.isFormer else { return }
      context.heard &+= 1
      try frames.deliver(kind, payload, from: peer, replies: replies, to: node)
    } catch {
      let name = context.handshake.peer.map { "node \($0)" } ?? connection.remoteAddress
      let topic = context.handshake.peer.map { "frames of node \($0)" } ?? "frames of strangers"
      let kind = String("\(error)".filter { !$0.isNumber }.prefix(60))
      log.log(.warning, topic, kind, "a frame from \(name) is refused: \(error)")
      say(.refusal("not understood: \(error)", isForDisk: false), connection)
      connection.close(reason: .local("refused: not understood: \(error)"))
    }
  }

  private func receivedOfSnapshot(
    _ kind: FrameKind, _ payload: UnsafeRawBufferPointer, _ connection: Connection
  ) throws(WireError) {
    switch (connection.role, kind) {
    case (.accepted, .snapshotRead): sender?.received(try frames.unpackSnapshotRead(payload), over: connection)
    case (.dialed, .snapshotPart): receiver?.received(try frames.unpackSnapshotPart(payload))
    default: throw WireError("a frame of kind \(kind.rawValue) on a connection for snapshots")
    }
  }

  func connectionReadCompleted(_ connection: Connection) { server?.scheduleTurn() }

  func connectionWritabilityChanged(_ connection: Connection) {}

  func connectionClosed(_ connection: Connection, reason: CloseReason) {
    guard let context = connection.context as? Context else { return }
    accepted.removeAll { $0.connection === connection }
    let peer = context.handshake.peer
    if context.handshake.isForSnapshots {
      if connection.role == .accepted {
        sender?.closed(connection)
      } else if snapshotLink?.id == peer {
        snapshotLinkFailed("\(reason)")
      }
      return
    }
    if connection.role == .accepted {
      if context.isRefused { return }
      let topic = peer.map { "from node \($0)" } ?? "from strangers"
      let name = peer.map { "node \($0)" } ?? connection.remoteAddress
      log.log(.info, topic, reason.kind, "connection from \(name) closed: \(reason)")
      return
    }
    guard let place = links.firstIndex(where: { $0.id == peer }) else { return }
    if links[place].connection === connection {
      noteAcknowledged()
      links[place].connection = nil
      log.log(
        .warning, "to node \(links[place].id)", "lost", "connection to node \(links[place].id) lost: \(reason)")
      server?.node.linkChanged(links[place].id, isUp: false)
      server?.scheduleTurn()
    } else if !context.isRefused {
      complain(links[place].id, reason.description)
    }
  }

  func link(_ link: Link, dialFailed reason: String) {
    if snapshotLink?.link === link { return snapshotLinkFailed(reason) }
    guard let (peer, _, _) = links.first(where: { $0.link === link }) else { return }
    complain(peer, reason)
  }

  func listener(_ listener: Listener, refused remoteAddress: String, reason: CloseReason) {
    log.log(
      .warning, "refused connections", reason.kind,
      "peer connection from \(remoteAddress) refused: \(reason)")
  }

  func listener(_ listener: Listener, acceptFailed reason: String) {
    log.log(.error, "accept", reason, "peer connections cannot be accepted for now: \(reason)")
  }

  private func complain(_ peer: NodeID, _ text: String) {
    log.log(.warning, "to node \(peer)", text, "no connection to node \(peer): \(text)")
  }
}

func hex(_ bytes: [UInt8]) -> String {
  let digits = Array("0123456789abcdef")
  return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
}
