internal import CLockstepWire
internal import CProtobufC
package import LockstepConsensus

/// A core's message as it came off the wire.
package struct ReceivedMessage: Sendable {
  package var group: GroupID
  package var message: Message
  /// With an AppendRequest, its entries, each checked, and the chain hash of the entry before them (0: not stated).
  package var entries: EntryBlock?
  package var previousChain: UInt64
  /// Of those entries, the configurations.
  package var configurations: [(index: LogIndex, members: Members)] = []

  /// What the core is told of the entries.
  package var coreEntries: ReceivedEntries {
    guard let entries else { return .none }
    return ReceivedEntries(
      first: entries.first, terms: entries.terms, ends: entries.ends, configurations: configurations)
  }
}

extension Codec {
  /// Packs a message of the core. The entries of an AppendRequest are not part of it: their bytes follow as they are.
  package func pack(_ message: Message, group: GroupID, previousChain: UInt64 = 0) -> FrameKind {
    switch message {
    case .append(let request):
      pack(request, group: group, previousChain: previousChain)
      return .append
    case .appendReply(let reply):
      pack(reply, group: group)
      return .appendReply
    case .vote(let request):
      pack(request, group: group)
      return .vote
    case .voteReply(let reply):
      var packed = Lockstep__Wire__V1__VoteReply()
      lockstep__wire__v1__vote_reply__init(&packed)
      packed.group = group.rawValue
      packed.term = reply.term.rawValue
      packed.granted = reply.isGranted ? 1 : 0
      packed.pre_vote = reply.isPreVote ? 1 : 0
      pack(&packed)
      return .voteReply
    case .timeoutNow(let term):
      var packed = Lockstep__Wire__V1__TimeoutNow()
      lockstep__wire__v1__timeout_now__init(&packed)
      packed.group = group.rawValue
      packed.term = term.rawValue
      pack(&packed)
      return .timeoutNow
    case .readIndex(let request):
      var packed = Lockstep__Wire__V1__ReadIndexRequest()
      lockstep__wire__v1__read_index_request__init(&packed)
      packed.group = group.rawValue
      packed.term = request.term.rawValue
      packed.id = request.id.rawValue
      pack(&packed)
      return .readIndex
    case .readIndexReply(let reply):
      var packed = Lockstep__Wire__V1__ReadIndexReply()
      lockstep__wire__v1__read_index_reply__init(&packed)
      packed.group = group.rawValue
      packed.term = reply.term.rawValue
      packed.id = reply.id.rawValue
      packed.refused = reply.index == nil ? 1 : 0
      packed.index = reply.index?.rawValue ?? 0
      pack(&packed)
      return .readIndexReply
    }
  }

  private func pack(_ request: AppendRequest, group: GroupID, previousChain: UInt64) {
    var packed = Lockstep__Wire__V1__AppendRequest()
    lockstep__wire__v1__append_request__init(&packed)
    packed.group = group.rawValue
    packed.term = request.term.rawValue
    packed.previous_index = request.previous.index.rawValue
    packed.previous_term = request.previous.term.rawValue
    packed.previous_chain = previousChain
    packed.commit = request.commit.rawValue
    packed.read_round = request.readRound
    packed.stored_by_all = request.storedByAll.rawValue
    packed.needs_snapshot = request.needsSnapshot ? 1 : 0
    packed.report_applied = request.reportApplied.rawValue
    pack(&packed)
  }

  private func pack(_ reply: AppendReply, group: GroupID) {
    var packed = Lockstep__Wire__V1__AppendReply()
    lockstep__wire__v1__append_reply__init(&packed)
    packed.group = group.rawValue
    packed.term = reply.term.rawValue
    packed.read_round = reply.readRound
    packed.replaying = reply.isReplaying ? 1 : 0
    packed.missing_bytes = reply.room.missing
    packed.takes_no_entries = reply.room.takesEntries ? 0 : 1
    packed.applied = reply.applied.rawValue
    switch reply.verdict {
    case .accepted(let match): packed.match = match.rawValue
    case .rejected(let previous, let hint):
      packed.rejected = 1
      packed.rejected_index = previous.rawValue
      packed.hint_index = hint.index.rawValue
      packed.hint_term = hint.term.rawValue
    }
    pack(&packed)
  }

  private func pack(_ request: VoteRequest, group: GroupID) {
    var packed = Lockstep__Wire__V1__VoteRequest()
    lockstep__wire__v1__vote_request__init(&packed)
    packed.group = group.rawValue
    packed.term = request.term.rawValue
    packed.last_index = request.last.index.rawValue
    packed.last_term = request.last.term.rawValue
    packed.pre_vote = request.isPreVote ? 1 : 0
    packed.transfer = request.isTransfer ? 1 : 0
    pack(&packed)
  }

  /// A message of the core, or nil when the kind is not one of them.
  package func unpackMessage(
    _ kind: FrameKind, _ bytes: UnsafeRawBufferPointer
  ) throws(WireError) -> ReceivedMessage? {
    switch kind {
    case .append: return try unpackAppend(bytes)
    case .appendReply: return try unpackAppendReply(bytes)
    case .vote:
      return try unpack(
        bytes, as: lockstep__wire__v1__vote_request__descriptor_pointer(), Lockstep__Wire__V1__VoteRequest.self
      ) { packed throws(WireError) in
        let request = VoteRequest(
          term: Term(packed.term), last: EntryID(term: Term(packed.last_term), index: LogIndex(packed.last_index)),
          isPreVote: packed.pre_vote != 0, isTransfer: packed.transfer != 0)
        return received(packed.group, .vote(request))
      }
    case .voteReply:
      return try unpack(
        bytes, as: lockstep__wire__v1__vote_reply__descriptor_pointer(), Lockstep__Wire__V1__VoteReply.self
      ) { packed throws(WireError) in
        let reply = VoteReply(
          term: Term(packed.term), isGranted: packed.granted != 0, isPreVote: packed.pre_vote != 0)
        return received(packed.group, .voteReply(reply))
      }
    case .timeoutNow:
      return try unpack(
        bytes, as: lockstep__wire__v1__timeout_now__descriptor_pointer(), Lockstep__Wire__V1__TimeoutNow.self
      ) { packed throws(WireError) in received(packed.group, .timeoutNow(term: Term(packed.term))) }
    case .readIndex:
      return try unpack(
        bytes, as: lockstep__wire__v1__read_index_request__descriptor_pointer(),
        Lockstep__Wire__V1__ReadIndexRequest.self
      ) { packed throws(WireError) in
        received(packed.group, .readIndex(ReadIndexRequest(term: Term(packed.term), id: ReadID(packed.id))))
      }
    case .readIndexReply:
      return try unpack(
        bytes, as: lockstep__wire__v1__read_index_reply__descriptor_pointer(), Lockstep__Wire__V1__ReadIndexReply.self
      ) { packed throws(WireError) in
        let reply = ReadIndexReply(
          term: Term(packed.term), id: ReadID(packed.id), index: packed.refused != 0 ? nil : LogIndex(packed.index))
        return received(packed.group, .readIndexReply(reply))
      }
    default: return nil
    }
  }

  private func received(_ group: UInt64, _ message: Message) -> ReceivedMessage {
    ReceivedMessage(group: GroupID(group), message: message, entries: nil, previousChain: 0)
  }

  private func unpackAppendReply(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> ReceivedMessage {
    try unpack(
      bytes, as: lockstep__wire__v1__append_reply__descriptor_pointer(), Lockstep__Wire__V1__AppendReply.self
    ) { packed throws(WireError) in
      let verdict: AppendReply.Verdict =
        packed.rejected == 0
        ? .accepted(match: LogIndex(packed.match))
        : .rejected(
          previous: LogIndex(packed.rejected_index),
          hint: EntryID(term: Term(packed.hint_term), index: LogIndex(packed.hint_index)))
      var reply = AppendReply(term: Term(packed.term), verdict: verdict, readRound: packed.read_round)
      reply.isReplaying = packed.replaying != 0
      reply.applied = LogIndex(packed.applied)
      reply.room = LogRoom(missing: packed.missing_bytes, takesEntries: packed.takes_no_entries == 0)
      return received(packed.group, .appendReply(reply))
    }
  }

  /// The header is unpacked; the entries behind it are sliced where they stand, and copied once.
  private func unpackAppend(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> ReceivedMessage {
    var cursor = WireCursor(bytes)
    var headerEnd = 0
    while !cursor.isAtEnd {
      let tag = try cursor.varint()
      if tag == UInt64(EntryBlock.tag) { break }
      try cursor.skipValue(wireType: tag & 7)
      headerEnd = cursor.position
    }
    let header = UnsafeRawBufferPointer(rebasing: bytes[..<headerEnd])
    let region = UnsafeRawBufferPointer(rebasing: bytes[headerEnd...])
    var received = try unpack(
      header, as: lockstep__wire__v1__append_request__descriptor_pointer(), Lockstep__Wire__V1__AppendRequest.self
    ) { packed throws(WireError) in
      let previous = EntryID(term: Term(packed.previous_term), index: LogIndex(packed.previous_index))
      // There is no place behind it, not even for no entries.
      guard previous.index.rawValue < .max else { throw WireError("an append at the end of all numbers") }
      let first = previous.index.next
      let request = AppendRequest(
        term: Term(packed.term), previous: previous, entries: LogSlice(first: first, last: previous.index),
        commit: LogIndex(packed.commit), readRound: packed.read_round,
        storedByAll: LogIndex(packed.stored_by_all), needsSnapshot: packed.needs_snapshot != 0,
        reportApplied: LogIndex(packed.report_applied))
      return ReceivedMessage(
        group: GroupID(packed.group), message: .append(request), entries: nil, previousChain: packed.previous_chain)
    }
    guard !region.isEmpty, case .append(var request) = received.message else { return received }
    guard request.previous.index.rawValue < .max - UInt64(region.count) else {
      throw WireError("entries at the end of all numbers")
    }
    var configurations: [(index: LogIndex, members: Members)] = []
    let block = try EntryBlock(
      slicing: region, first: request.previous.index.next, previousTerm: request.previous.term,
      previousChain: received.previousChain
    ) { header, payload throws(WireError) in
      guard header.kind == .configuration else { return }
      configurations.append((header.id.index, try unpackMembers(payload)))
    }
    request.entries = block.slice
    received.message = .append(request)
    received.entries = block
    received.configurations = configurations
    return received
  }
}
