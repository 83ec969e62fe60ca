package import LockstepConsensus
package import LockstepWire

// Messages from and to the other nodes.

extension Node {
  /// One frame from this peer, whose identity has been checked; the bytes are borrowed. Throws when they are not what
  /// a node says: the link is to be closed, nothing has changed.
  package func receive(_ kind: FrameKind, _ bytes: UnsafeRawBufferPointer, from peer: NodeID) throws(WireError) {
    guard failure == nil else { return }
    switch kind {
    case .forward:
      let (id, call) = try codec.unpackForward(bytes)
      try receiveForwarded(call, forward: id, from: peer)
    case .forwardReply:
      let (id, reply) = try codec.unpackForwardReply(bytes)
      try finishForward(id, reply, from: peer)
    default:
      guard let received = try codec.unpackMessage(kind, bytes) else {
        throw WireError("a frame of kind \(kind.rawValue), which is not for this port")
      }
      guard let group = group(received.group) else { throw WireError("no group \(received.group) on this node") }
      try receive(received, group, from: peer)
    }
  }

  private func receive(_ received: ReceivedMessage, _ group: Group, from peer: NodeID) throws(WireError) {
    var entries = ReceivedEntries.none
    if let block = received.entries {
      entries = ReceivedEntries(
        first: block.first, terms: block.terms, ends: block.ends, configurations: try configurations(in: block))
    }
    if case .append(let request) = received.message, request.term >= group.term,
      received.previousChain != 0, group.replica.log.contains(request.previous),
      let chain = group.cache.chain(at: request.previous.index), chain != received.previousChain
    {
      // The same entry with another history: one of the two logs is not what it was.
      failure = .diverged(group.id, request.previous.index)
      return
    }
    // It would lead, and answer nobody until it has carried out what it still has to.
    if case .timeoutNow = received.message, !group.isCaughtUp { return }
    group.received = received.entries
    var list = takeEffects()
    group.replica.step(received.message, entries: entries, from: peer, into: &list)
    carryOut(&list, group)
    group.received = nil
    if case .appendReply(let reply) = received.message { noteAcknowledged(group, reply, by: peer) }
  }

  private func configurations(in block: EntryBlock) throws(WireError) -> [(index: LogIndex, members: Members)] {
    var found: [(index: LogIndex, members: Members)] = []
    try block.forEach(in: block.slice) { header, bytes throws(WireError) in
      guard header.kind == .configuration else { return }
      found.append((header.id.index, try codec.unpackMembers(UnsafeRawBufferPointer(rebasing: bytes[header.payload]))))
    }
    return found
  }

  func send(_ group: Group, _ message: Message, to node: NodeID) {
    stages.frames &+= 1
    guard case .append(let request) = message else {
      var message = message
      if case .appendReply(var reply) = message, !group.isCaughtUp {
        reply.isReplaying = true
        message = .appendReply(reply)
      }
      let kind = codec.pack(message, group: group.id)
      links.send(kind, header: codec.packed, body: UnsafeRawBufferPointer(start: nil, count: 0), to: node)
      return
    }
    if request.entries.isEmpty {
      let chain = group.cache.chain(at: request.previous.index) ?? 0
      let kind = codec.pack(message, group: group.id, previousChain: chain)
      links.send(kind, header: codec.packed, body: UnsafeRawBufferPointer(start: nil, count: 0), to: node)
      return
    }
    // Entries that have left the memory between the effect and now are not sent; the next heartbeat finds that out.
    if let block = group.cache.block(containing: request.entries.first), block.last >= request.entries.last {
      send(block, request, message, group, to: node)
    } else if let block = group.cache.joined(request.entries) ?? loaded(group, request.entries) {
      send(block, request, message, group, to: node)
    }
  }

  private func loaded(_ group: Group, _ slice: LogSlice) -> EntryBlock? {
    guard group.loaded.first?.first == slice.first, group.loaded.last?.last == slice.last else { return nil }
    return EntryBlock.joined(group.loaded)
  }

  private func send(
    _ block: EntryBlock, _ request: AppendRequest, _ message: Message, _ group: Group, to node: NodeID
  ) {
    let kind = codec.pack(message, group: group.id, previousChain: block.chain(at: request.previous.index))
    block.bytes.withUnsafeBytes { bytes in
      let body = UnsafeRawBufferPointer(rebasing: bytes[block.region(request.entries)])
      links.send(kind, header: codec.packed, body: body, to: node)
    }
    noteSent(group, request.entries, to: node)
  }
}
