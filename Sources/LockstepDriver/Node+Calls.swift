import LockstepConsensus
import LockstepExecution
package import LockstepWire

// Calls of clients: taken in, proposed or passed on, answered.

/// A call that was passed on to the leader.
struct ForwardedCall {
  let origin: Origin
  let leader: NodeID
  let deadline: UInt64
  let isQuery: Bool
}

extension Node {
  /// A call as its client sent it; the bytes are borrowed. Throws when they are no call.
  package func receiveCall(_ bytes: UnsafeRawBufferPointer, sink: any ReplySink) throws(WireError) {
    guard failure == nil else { return }
    try codec.unpackCall(bytes) { header, method, payload in
      takeIn(header, .client(sink, id: header.id), method: method, payload: payload)
    }
  }

  func receiveForwarded(_ call: [UInt8], forward: UInt64, from peer: NodeID) throws(WireError) {
    try call.withUnsafeBytesTyped { (bytes) throws(WireError) in
      try codec.unpackCall(bytes) { header, method, payload in
        takeIn(header, .node(peer, forward: forward, id: header.id), method: method, payload: payload)
      }
    }
  }

  private func takeIn(
    _ header: CallHeader, _ origin: Origin, method: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer
  ) {
    guard let group = header.group == 0 ? groups.first : group(GroupID(header.group)) else {
      refuse(origin, Status(.notFound, "this node has no group \(header.group)"))
      return
    }
    guard payload.count <= limits.requestBytes else {
      let message = "the request has \(payload.count) bytes, the limit is \(limits.requestBytes)"
      refuse(origin, Status(.resourceExhausted, message))
      return
    }
    let call = Call(method: method, request: payload)
    let known: MethodKind?
    do throws(Status) { known = try group.executor.check(call) } catch {
      refuse(origin, error)
      return
    }
    guard let kind = known else {
      refuse(origin, Status(.unimplemented, "no service here has a method '\(Self.readable(method))'"))
      return
    }
    let underWay = callsUnderWay + forwards.count
    guard underWay < limits.calls, callBytesUnderWay + payload.count <= limits.callBytes else {
      refuse(origin, Status(.resourceExhausted, "this node has \(underWay) calls under way and takes no more"))
      return
    }
    let deadline = deadline(header)
    switch kind {
    case .query: takeQuery(group, header, origin, deadline, call)
    case .command: takeCommand(group, header, origin, deadline, call)
    }
  }

  func deadline(_ header: CallHeader) -> UInt64 {
    let asked = header.timeoutMilliseconds == 0 ? limits.defaultTimeout : header.timeoutMilliseconds
    let deadline = now + min(asked, limits.maximumTimeout) * 1_000_000
    nextDeadline = min(nextDeadline, deadline)
    return deadline
  }

  /// A method's name in a message: short, and only letters that do no harm.
  static func readable(_ method: UnsafeRawBufferPointer) -> String {
    String(decoding: method.prefix(200).map { $0 >= 32 && $0 < 127 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
  }

  // MARK: Commands

  private func takeCommand(
    _ group: Group, _ header: CallHeader, _ origin: Origin, _ deadline: UInt64, _ call: Call
  ) {
    if let status = refusal(ofAck: header.ack) {
      refuse(origin, status)
      return
    }
    guard header.session == 0, header.sequence == 0 else {
      refuse(origin, Status(.unimplemented, "sessions are not served by this version"))
      return
    }
    switch group.replica.role {
    case .leader:
      noteArrival(group)
      callsUnderWay += 1
      callBytesUnderWay += call.methodBytes.count + call.requestBytes.count
      group.proposals.append(header, origin, deadline: deadline, method: call.methodBytes, payload: call.requestBytes)
    case .follower, .preCandidate, .candidate: passOn(group, header, origin, deadline, call, isQuery: false)
    }
  }

  func refusal(ofAck ack: UInt32) -> Status? {
    guard ack != 0, ack != AckLevel.quorum.rawValue else { return nil }
    let name = AckLevel(rawValue: ack)?.name ?? "number \(ack)"
    return Status(.unimplemented, "acknowledgement level '\(name)' is not served by this version; 'quorum' is")
  }

  /// The node that leads, where this one does not and can ask it.
  func leaderToAsk(_ group: Group) throws(Status) -> NodeID {
    guard let leader = group.leader, leader != configuration.id else {
      let reason = "an election is under way, or a majority of the voters cannot be reached"
      throw Status(.unavailable, "no leader is known to node \(configuration.id): \(reason)")
    }
    guard links.isConnected(leader) else {
      throw Status(.unavailable, "node \(configuration.id) has no connection to the leader, node \(leader)")
    }
    return leader
  }

  /// Passes a call on to the leader, once: what came from another node already is answered instead.
  func passOn(
    _ group: Group, _ header: CallHeader, _ origin: Origin, _ deadline: UInt64, _ call: Call, isQuery: Bool
  ) {
    if case .node = origin, let leader = group.leader, leader != configuration.id {
      refuse(origin, Status(.unavailable, "node \(configuration.id) does not lead (any more); node \(leader) does"))
      return
    }
    let leader: NodeID
    do throws(Status) { leader = try leaderToAsk(group) } catch {
      refuse(origin, error)
      return
    }
    var header = header
    header.timeoutMilliseconds = max(1, (deadline - min(deadline, now)) / 1_000_000)
    codec.pack(header, method: call.methodBytes, payload: call.requestBytes)
    let packed = codec.packed
    nextDeadline = min(nextDeadline, deadline)
    let id = forwards.add(ForwardedCall(origin: origin, leader: leader, deadline: deadline, isQuery: isQuery))
    packed.withUnsafeBytes { codec.pack(forward: id, call: $0) }
    links.send(.forward, header: codec.packed, body: UnsafeRawBufferPointer(start: nil, count: 0), to: leader)
  }

  func propose(_ group: Group) {
    guard !group.proposals.isEmpty else { return }
    step(group, .proposed(sizes: group.proposals.calls.map(\.bytes)))
    group.proposals.removeAll()
  }

  /// The proposals have become entries from `first` on.
  func awaitCommands(_ group: Group, _ first: EntryID) {
    let isBehind = group.commands.last.map { $0.id.index >= first.index } ?? false
    for (offset, call) in group.proposals.calls.enumerated() {
      group.commands.append(
        PendingCommand(
          id: EntryID(term: first.term, index: first.index.advanced(by: offset)), origin: call.origin,
          deadline: call.deadline, bytes: call.bytes))
    }
    // Commands of a former time as leader, replaced in the log since, still wait for what takes their places. They are
    // answered in the order of the log, or one of these would be taken for one that was replaced.
    guard isBehind else { return }
    group.commands[group.commandsHead...].sort { ($0.id.index, $0.id.term) < ($1.id.index, $1.id.term) }
  }

  func refuseProposals(_ group: Group, _ refusal: ProposalRefusal) {
    let proposals = group.proposals
    group.proposals.removeAll()
    proposals.bytes.withUnsafeBytes { bytes in
      for pending in proposals.calls {
        let call = Call(
          method: UnsafeRawBufferPointer(rebasing: bytes[pending.method]),
          request: UnsafeRawBufferPointer(rebasing: bytes[pending.payload]))
        if refusal == .transferring {
          group.held.append(
            pending.header, pending.origin, deadline: pending.deadline, method: call.methodBytes,
            payload: call.requestBytes)
          continue
        }
        callsUnderWay -= 1
        callBytesUnderWay -= pending.bytes
        if refusal == .overloaded {
          let message = "too many commands wait to be committed, or for the leader's disk"
          refuse(pending.origin, Status(.resourceExhausted, message))
        } else {
          passOn(group, pending.header, pending.origin, pending.deadline, call, isQuery: false)
        }
      }
    }
  }

  /// Commands that waited for the lead to be handed over go on as soon as somebody leads.
  func resumeHeld(_ group: Group) {
    guard !group.held.isEmpty, group.replica.transferee == nil, group.leader != nil else { return }
    let held = group.held
    group.held = CallBuffer()
    held.bytes.withUnsafeBytes { bytes in
      for pending in held.calls {
        callsUnderWay -= 1
        callBytesUnderWay -= pending.bytes
        let call = Call(
          method: UnsafeRawBufferPointer(rebasing: bytes[pending.method]),
          request: UnsafeRawBufferPointer(rebasing: bytes[pending.payload]))
        takeCommand(group, pending.header, pending.origin, pending.deadline, call)
      }
    }
  }

  func finishForward(_ id: UInt64, _ bytes: [UInt8], from peer: NodeID) throws(WireError) {
    var reply = try bytes.withUnsafeBytesTyped(codec.unpackReply)
    // Answers of a node that was not asked, or too late, are not believed.
    guard let forwarded = forwards.remove(id) else { return }
    guard forwarded.leader == peer else {
      answer(forwarded.origin, unknownOutcome(forwarded, "the answer came from another node than was asked"))
      return
    }
    reply.id = forwarded.origin.callID
    answer(forwarded.origin, reply)
  }

  func failForwards(to node: NodeID) {
    for forwarded in forwards.removeAll(where: { $0.leader == node }) {
      answer(forwarded.origin, unknownOutcome(forwarded, "the connection to the leader, node \(node), was lost"))
    }
  }

  private func unknownOutcome(_ forwarded: ForwardedCall, _ message: String) -> CallReply {
    var reply = failure(Status(.unavailable, message), forwarded.origin)
    reply.applied = forwarded.isQuery || planted(.deniesWhatWasPassedOn) ? .no : .unknown
    return reply
  }

  // MARK: Answers

  /// The call has had no effect, and never will.
  func refuse(_ origin: Origin, _ status: Status) {
    var reply = failure(status, origin)
    reply.applied = .no
    answer(origin, reply)
  }

  func failure(_ status: Status, _ origin: Origin) -> CallReply {
    var reply = CallReply(id: origin.callID)
    reply.code = UInt32(status.code.rawValue)
    reply.message = status.message
    reply.node = configuration.id.rawValue
    reply.leader = groups.first?.leader?.rawValue ?? 0
    return reply
  }

  func answer(_ origin: Origin, _ reply: CallReply) {
    let isLong = reply.payload.count > limits.longReplyBytes
    switch origin {
    case .client(let sink, _):
      pack(reply, hasRoom: !isLong || sink.hasRoom)
      deliver(.callReply, to: sink)
    case .node(let node, let forward, _):
      // A full link drops what it is given, and whoever waits for this would wait for its whole time-out.
      pack(reply, hasRoom: !isLong || links.hasRoom(node))
      let packed = codec.packed
      codec.pack(forwardReply: forward, reply: packed)
      links.send(.forwardReply, header: codec.packed, body: UnsafeRawBufferPointer(start: nil, count: 0), to: node)
    case .batch(let batch, let place): answer(batch, place, reply)
    }
  }

  /// What does not fit in a frame, or is long while much waits for the client already, is left out, and said to be: it
  /// would end the connection for all other calls.
  private func pack(_ reply: CallReply, hasRoom: Bool = true) {
    let most = limits.replyBytes
    guard reply.payload.count + reply.message.utf8.count > most || !hasRoom else { return codec.pack(reply) }
    var short = reply
    if reply.code == 0 {
      let carriedOut = reply.applied == .yes ? "carried out; " : ""
      let reason = hasRoom ? "more than \(most)" : "and earlier answers still wait to be read"
      short.code = UInt32(Status.Code.resourceExhausted.rawValue)
      short.message = "\(carriedOut)the reply has \(reply.payload.count) bytes, \(reason): it is left out"
      if reply.applied != .yes { short.applied = .no }
    } else {
      short.message = String(decoding: reply.message.utf8.prefix(1024), as: UTF8.self)
    }
    short.payload = []
    codec.pack(short)
  }

  /// Hands over what was packed last, to be flushed at the end of the turn.
  func deliver(_ kind: FrameKind, to sink: any ReplySink) {
    sink.send(kind, codec.packed)
    guard !sink.isFlushDue else { return }
    sink.isFlushDue = true
    dirtySinks.append(sink)
  }

  // MARK: Deadlines

  /// A call whose time is over is told so, and never more than is known.
  func expireCalls() {
    guard now >= nextDeadline else { return }
    nextDeadline = .max
    for group in groups {
      expireCommands(group)
      expireHeld(group)
      expireReads(group)
      // What came after the last turn has its place in the queues still to come.
      for call in group.proposals.calls { nextDeadline = min(nextDeadline, call.deadline) }
      for read in group.reads { nextDeadline = min(nextDeadline, read.deadline) }
    }
    let now = now
    for forwarded in forwards.removeAll(where: { $0.deadline <= now }) {
      let message = "the leader, node \(forwarded.leader), did not answer in time"
      var reply = failure(Status(.deadlineExceeded, message), forwarded.origin)
      reply.applied = forwarded.isQuery ? .no : .unknown
      answer(forwarded.origin, reply)
    }
    forwards.forEach { nextDeadline = min(nextDeadline, $0.deadline) }
  }

  private func expireCommands(_ group: Group) {
    var isAnyLate = false
    for place in group.commandsHead..<group.commands.count {
      guard let origin = group.commands[place].origin else { continue }
      guard group.commands[place].deadline <= now else {
        nextDeadline = min(nextDeadline, group.commands[place].deadline)
        continue
      }
      let id = group.commands[place].id
      // The place in the queue stays while the entry is in the log; nobody waits for it any more.
      group.commands[place].origin = nil
      isAnyLate = true
      let isCommitted = id.index <= group.commit && group.replica.log.contains(id)
      let place = "entry \(id.index) of term \(id.term) is in the log of node \(configuration.id)"
      let message =
        isCommitted
        ? "\(place) and committed, and was not carried out in time; it will be"
        : "\(place) and was not committed in time; it may be later"
      var reply = failure(Status(.deadlineExceeded, message), origin)
      reply.index = id.index.rawValue
      reply.term = id.term.rawValue
      reply.applied = planted(.deniesWhatTimedOut) ? .no : .unknown
      answer(origin, reply)
    }
    if isAnyLate { forgetReplaced(group) }
  }

  /// Drops commands that nobody waits for any more and that have left the log: what would take their places, and make
  /// room for others, may never come.
  func forgetReplaced(_ group: Group) {
    guard group.isAwaited else { return }
    group.commands.removeFirst(group.commandsHead)
    group.commandsHead = 0
    group.commands.removeAll { command in
      guard command.origin == nil, !group.replica.log.contains(command.id) else { return false }
      callsUnderWay -= 1
      callBytesUnderWay -= command.bytes
      return true
    }
  }

  private func expireHeld(_ group: Group) {
    guard !group.held.isEmpty else { return }
    let held = group.held
    group.held = CallBuffer()
    held.bytes.withUnsafeBytes { bytes in
      for call in held.calls {
        guard call.deadline <= now else {
          nextDeadline = min(nextDeadline, call.deadline)
          group.held.append(
            call.header, call.origin, deadline: call.deadline,
            method: UnsafeRawBufferPointer(rebasing: bytes[call.method]),
            payload: UnsafeRawBufferPointer(rebasing: bytes[call.payload]))
          continue
        }
        callsUnderWay -= 1
        callBytesUnderWay -= call.bytes
        refuse(call.origin, Status(.deadlineExceeded, "the lead was being handed over, and nobody led in time"))
      }
    }
  }
}
