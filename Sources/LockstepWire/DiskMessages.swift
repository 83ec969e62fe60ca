internal import CLockstepWire
internal import CProtobufC
package import LockstepConsensus

/// Where a group's log stood when a segment of the log on disk began.
package struct GroupState: Sendable, Equatable {
  package var group: GroupID
  package var hardState: HardState
  package var last: EntryID
  package var lastChain: UInt64
  /// Nil: the log begins with entry 1.
  package var base: LogBase?

  package init(group: GroupID, hardState: HardState, last: EntryID, lastChain: UInt64, base: LogBase? = nil) {
    self.group = group
    self.hardState = hardState
    self.last = last
    self.lastChain = lastChain
    self.base = base
  }
}

/// The first record of a segment file.
package struct SegmentHeader: Sendable, Equatable {
  package var cluster: [UInt8]
  package var node: NodeID
  package var disk: [UInt8]
  package var segment: UInt64
  /// That of the first record after this one.
  package var sequence: UInt64
  package var groups: [GroupState]

  package init(
    cluster: [UInt8], node: NodeID, disk: [UInt8], segment: UInt64, sequence: UInt64, groups: [GroupState]
  ) {
    self.cluster = cluster
    self.node = node
    self.disk = disk
    self.segment = segment
    self.sequence = sequence
    self.groups = groups
  }
}

/// Who this directory belongs to, and what it has seen of its peers.
package struct DiskIdentity: Sendable, Equatable {
  package struct Member: Sendable, Equatable {
    package var node: NodeID
    package var address: String

    package init(node: NodeID, address: String) {
      self.node = node
      self.address = address
    }
  }

  package struct Peer: Sendable, Equatable {
    package var node: NodeID
    package var disk: [UInt8]
    package var incarnation: UInt64
    /// The random id of the start with this incarnation; 0: not known.
    package var start: UInt64
    /// Those that it had before, the latest first; the oldest of many are forgotten.
    package var formerDisks: [[UInt8]]
    package static let formerDisksKept = 16

    package init(node: NodeID, disk: [UInt8], incarnation: UInt64, start: UInt64 = 0, formerDisks: [[UInt8]] = []) {
      self.formerDisks = formerDisks
      self.node = node
      self.disk = disk
      self.incarnation = incarnation
      self.start = start
    }
  }

  /// Where the log ended when its node last stopped cleanly: at least so far it reaches, for ever.
  package struct CleanStop: Sendable, Equatable {
    package var segment: UInt64
    /// Where in that file the next record goes.
    package var offset: Int
    /// Of the last record, and the checksum of its header.
    package var sequence: UInt64
    package var link: UInt64

    package init(segment: UInt64, offset: Int, sequence: UInt64, link: UInt64) {
      self.segment = segment
      self.offset = offset
      self.sequence = sequence
      self.link = link
    }
  }

  package static let format: UInt32 = 1
  package var cluster: [UInt8]
  package var node: NodeID
  package var disk: [UInt8]
  package var incarnation: UInt64
  package var initialMembers: [Member]
  package var peers: [Peer]
  /// The random id of the start with this incarnation; 0: it was one of a version that drew none.
  package var start: UInt64
  /// Made of when, and as which inode, the file that this is in was made; nil: not known.
  package var birth: UInt64?
  package var cleanStop: CleanStop?
  /// It was made in place of another disk that the node had.
  package var isDiskReplaced: Bool

  package init(
    cluster: [UInt8], node: NodeID, disk: [UInt8], incarnation: UInt64, initialMembers: [Member], peers: [Peer],
    start: UInt64 = 0, birth: UInt64? = nil, cleanStop: CleanStop? = nil, isDiskReplaced: Bool = false
  ) {
    self.isDiskReplaced = isDiskReplaced
    self.cluster = cluster
    self.node = node
    self.disk = disk
    self.incarnation = incarnation
    self.initialMembers = initialMembers
    self.peers = peers
    self.start = start
    self.birth = birth
    self.cleanStop = cleanStop
  }
}

extension SegmentHeader {
  package func encoded() -> [UInt8] {
    let codec = Codec(maximumMessage: 0)
    let memory = PackMemory()
    defer { memory.free() }
    var message = Lockstep__Wire__V1__SegmentHeader()
    lockstep__wire__v1__segment_header__init(&message)
    message.node = node.rawValue
    message.segment = segment
    message.sequence = sequence
    let states = groups.map { group in
      var state = Lockstep__Wire__V1__GroupState()
      lockstep__wire__v1__group_state__init(&state)
      state.group = group.group.rawValue
      state.term = group.hardState.term.rawValue
      state.vote = group.hardState.vote?.rawValue ?? 0
      state.commit = group.hardState.commit.rawValue
      state.last_index = group.last.index.rawValue
      state.last_term = group.last.term.rawValue
      state.last_chain = group.lastChain
      state.log_base = group.base?.message(in: memory)
      return state
    }
    withPointers(to: states) { pointers in
      message.n_groups = pointers.count
      message.groups = pointers.baseAddress
      withProtobufBytes(cluster) { cluster in
        withProtobufBytes(disk) { disk in
          message.cluster = cluster
          message.disk = disk
          codec.pack(&message)
        }
      }
    }
    return codec.packed
  }

  package init(decoding bytes: UnsafeRawBufferPointer) throws(WireError) {
    self = try diskCodec(for: bytes).unpack(
      bytes, as: lockstep__wire__v1__segment_header__descriptor_pointer(), Lockstep__Wire__V1__SegmentHeader.self
    ) { message throws(WireError) in
      var groups: [GroupState] = []
      for state in elements(message.groups, message.n_groups) {
        guard state.group > 0 else { throw WireError("a group numbered 0") }
        groups.append(
          GroupState(
            group: GroupID(state.group),
            hardState: HardState(
              term: Term(state.term), vote: state.vote == 0 ? nil : NodeID(state.vote), commit: LogIndex(state.commit)),
            last: EntryID(term: Term(state.last_term), index: LogIndex(state.last_index)),
            lastChain: state.last_chain, base: try LogBase(at: state.log_base)))
      }
      return SegmentHeader(
        cluster: message.cluster.array, node: NodeID(message.node), disk: message.disk.array,
        segment: message.segment, sequence: message.sequence, groups: groups)
    }
  }
}

extension DiskIdentity {
  package func encoded() -> [UInt8] {
    let codec = Codec(maximumMessage: 0)
    var message = Lockstep__Wire__V1__Identity()
    lockstep__wire__v1__identity__init(&message)
    message.format = Self.format
    message.node = node.rawValue
    message.incarnation = incarnation
    message.start = start
    message.birth = birth ?? 0
    message.disk_replaced = isDiskReplaced ? 1 : 0
    let memory = PackMemory()
    defer { memory.free() }
    message.n_peers = peers.count
    message.peers = memory.pointers(peers.map { $0.message(in: memory) })
    withMembers(initialMembers) { members in
      message.n_initial_members = members.count
      message.initial_members = members.baseAddress
      withProtobufBytes(cluster) { cluster in
        withProtobufBytes(disk) { disk in
          message.cluster = cluster
          message.disk = disk
          withCleanStop(cleanStop) { stop in
            message.clean_stop = stop
            codec.pack(&message)
          }
        }
      }
    }
    return codec.packed
  }

  package init(decoding bytes: UnsafeRawBufferPointer) throws(WireError) {
    self = try diskCodec(for: bytes).unpack(
      bytes, as: lockstep__wire__v1__identity__descriptor_pointer(), Lockstep__Wire__V1__Identity.self
    ) { message throws(WireError) in
      guard message.format == Self.format else {
        throw WireError("format \(message.format), where this version knows \(Self.format)")
      }
      guard message.cluster.len == 16, message.disk.len == 16, message.node > 0 else {
        throw WireError("an identity without a cluster, a disk or a node")
      }
      var cleanStop: CleanStop?
      if let stop = message.clean_stop?.pointee {
        guard let offset = Int(exactly: stop.offset) else { throw WireError("a log that ended at byte \(stop.offset)") }
        cleanStop = CleanStop(segment: stop.segment, offset: offset, sequence: stop.sequence, link: stop.link)
      }
      return DiskIdentity(
        cluster: message.cluster.array, node: NodeID(message.node), disk: message.disk.array,
        incarnation: message.incarnation,
        initialMembers: elements(message.initial_members, message.n_initial_members).map {
          Member(node: NodeID($0.id), address: $0.address.map { String(cString: $0) } ?? "")
        },
        peers: elements(message.peers, message.n_peers).map {
          Peer(
            node: NodeID($0.node), disk: $0.disk.array, incarnation: $0.incarnation, start: $0.start,
            formerDisks: UnsafeBufferPointer(start: $0.former_disks, count: $0.n_former_disks).map(\.array))
        }, start: message.start, birth: message.birth == 0 ? nil : message.birth, cleanStop: cleanStop,
        isDiskReplaced: message.disk_replaced != 0)
    }
  }
}

/// A list of small messages takes many times its bytes when it is unpacked, and a start must not fail for that.
func diskCodec(for bytes: UnsafeRawBufferPointer) -> Codec { Codec(maximumMessage: 8 * bytes.count) }

// What borrowed arrays of messages take.

private typealias CMember = Lockstep__Wire__V1__Member
private typealias CPeer = Lockstep__Wire__V1__KnownPeer

/// Adds one member after the other, each with its text alive until `body` has returned.
private func withMembers(
  _ members: [DiskIdentity.Member], done: [CMember] = [],
  _ body: (UnsafeMutableBufferPointer<UnsafeMutablePointer<CMember>?>) -> Void
) {
  guard let next = members.first else { return withPointers(to: done, body) }
  withProtobufString(next.address) { address in
    var message = CMember()
    lockstep__wire__v1__member__init(&message)
    message.id = next.node.rawValue
    message.address = address
    withMembers(Array(members.dropFirst()), done: done + [message], body)
  }
}

extension DiskIdentity.Peer {
  fileprivate func message(in memory: PackMemory) -> CPeer {
    var message = CPeer()
    lockstep__wire__v1__known_peer__init(&message)
    message.node = node.rawValue
    message.incarnation = incarnation
    message.start = start
    message.disk = memory.bytes(disk)
    message.n_former_disks = formerDisks.count
    message.former_disks = memory.array(formerDisks.map { memory.bytes($0) })
    return message
  }
}

private func withCleanStop(
  _ stop: DiskIdentity.CleanStop?, _ body: (UnsafeMutablePointer<Lockstep__Wire__V1__CleanStop>?) -> Void
) {
  guard let stop else { return body(nil) }
  var message = Lockstep__Wire__V1__CleanStop()
  lockstep__wire__v1__clean_stop__init(&message)
  message.segment = stop.segment
  message.offset = UInt64(stop.offset)
  message.sequence = stop.sequence
  message.link = stop.link
  withUnsafeMutablePointer(to: &message, body)
}

func withPointers<Message>(
  to messages: [Message], _ body: (UnsafeMutableBufferPointer<UnsafeMutablePointer<Message>?>) -> Void
) {
  var messages = messages
  messages.withUnsafeMutableBufferPointer { buffer in
    var pointers: [UnsafeMutablePointer<Message>?] = []
    for place in buffer.indices { pointers.append(buffer.baseAddress.map { $0 + place }) }
    pointers.withUnsafeMutableBufferPointer { body($0) }
  }
}

func elements<Message>(
  _ pointers: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?, _ count: Int
) -> [Message] {
  UnsafeMutableBufferPointer(start: pointers, count: pointers == nil ? 0 : count).compactMap { $0?.pointee }
}
