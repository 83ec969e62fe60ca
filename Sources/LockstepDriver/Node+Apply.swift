import LockstepConsensus
import LockstepExecution
import LockstepWire

// From committed to applied, and the answer to who waits for it.

extension Node {
  /// Applies what is committed and in memory, up to the limits of a turn: of the entries' bytes, and of their replies'.
  /// Returns true when there is more.
  func applyCommitted(_ group: Group) -> Bool {
    var budget = limits.applyBytes
    replyBudget = limits.answerBytes
    while group.executor.applied < group.commitTarget, failure == nil {
      let next = group.executor.applied.next
      guard let block = group.cache.block(containing: next) else {
        loadToApply(group, from: next)
        return false
      }
      guard budget > 0, replyBudget > 0 else { return true }
      let slice = LogSlice(first: next, last: min(block.last, group.commitTarget))
      budget -= block.region(slice).count
      let applied = measured { apply(group, block, slice) }
      // Clients go on while this node applies what comes next.
      if failure == nil { flushAnswers(since: applied) }
    }
    noteCaughtUp(group)
    return false
  }

  private func loadToApply(_ group: Group, from next: LogIndex) {
    guard !group.isLoadingToApply else { return }
    group.isLoadingToApply = true
    // What has left the memory is on the disk: it is kept there until then.
    let last = min(group.commitTarget, group.replica.log.durable)
    submitRead(group, .apply, from: next, through: last, maximumBytes: limits.applyBytes)
  }

  func applyLoaded(_ group: Group, _ blocks: [EntryBlock]) {
    replyBudget = limits.answerBytes
    for block in blocks {
      guard block.first == group.executor.applied.next, failure == nil else { return }
      let slice = LogSlice(first: block.first, last: min(block.last, group.commitTarget))
      if !slice.isEmpty { _ = measured { apply(group, block, slice) } }
    }
  }

  private func noteCaughtUp(_ group: Group) {
    guard !group.isCaughtUp, group.executor.applied >= group.recoveredLast else { return }
    group.isCaughtUp = true
    observe(.caughtUp(group.id, applied: group.executor.applied))
  }

  /// Returns how many entries were applied: fewer than there are when their replies are long.
  private func apply(_ group: Group, _ block: EntryBlock, _ slice: LogSlice) -> Int {
    let shared = shared(group)
    let range = block.region(slice)
    return block.bytes.withUnsafeBytes { bytes in
      var cursor = WireCursor(UnsafeRawBufferPointer(rebasing: bytes[range]))
      var entries: [Executor.Entry] = []
      entries.reserveCapacity(slice.count)
      do throws(WireError) {
        while !cursor.isAtEnd {
          _ = try cursor.varint()
          let entry = UnsafeRawBufferPointer(rebasing: cursor.bytes[try cursor.delimited()])
          let header = try EntryHeader(parsing: entry)
          entries.append(
            Executor.Entry(
              id: header.id, kind: header.kind, timestamp: header.timestamp, session: header.session,
              sequence: header.sequence,
              call: Call(
                method: UnsafeRawBufferPointer(rebasing: entry[header.method]),
                request: UnsafeRawBufferPointer(rebasing: entry[header.payload]))))
        }
      } catch {
        failure = .corrupted(group.id, slice.first, error.description)
        return 0
      }
      var place = 0
      while place < entries.count, place == 0 || replyBudget > 0 {
        let areWanted = group.isAwaited
        let end = areWanted ? min(place + limits.commandsAtOnce, entries.count) : entries.count
        group.executor.apply(entries[place..<end], repliesAreWanted: areWanted) { id, reply in
          if case .success(let payload)? = reply { replyBudget -= payload.count }
          finishCommand(group, id, reply, shared)
        }
        place = end
      }
      return place
    }
  }

  /// What the replies to all commands of a block have in common.
  private struct SharedEvidence {
    let leader: UInt64
    let holders: [UInt64]
  }

  private func shared(_ group: Group) -> SharedEvidence {
    // Followers, whom nobody asked, apply as many blocks as the leader.
    guard group.isAwaited else { return SharedEvidence(leader: 0, holders: []) }
    return SharedEvidence(leader: group.leader?.rawValue ?? 0, holders: evidence(group))
  }

  /// The voters that this node knows to hold all that is committed: on a leader at least a majority, by the rule of
  /// commitment.
  private func evidence(_ group: Group) -> [UInt64] {
    let commit = group.commit
    // Who does not lead any more knows for certain of itself alone: that there was a majority, its new leader says.
    var holders = group.replica.progress.filter { $0.match >= commit && group.members.isVoter($0.node) }
      .map(\.node.rawValue)
    if group.replica.log.durable >= commit { holders.append(configuration.id.rawValue) }
    if planted(.namesAllVotersAsHolders) { return group.members.voters.map(\.rawValue) }
    return holders.sorted()
  }

  /// The entry `id` has been applied: whoever waits for it, or for another one in its place, is answered.
  private func finishCommand(_ group: Group, _ id: EntryID, _ reply: Replies.Reply?, _ shared: SharedEvidence) {
    while group.commandsHead < group.commands.count, group.commands[group.commandsHead].id.index <= id.index {
      // Moved out of the queue, not copied.
      let origin = group.commands[group.commandsHead].origin.take()
      let awaited = group.commands[group.commandsHead].id
      callsUnderWay -= 1
      callBytesUnderWay -= group.commands[group.commandsHead].bytes
      group.commandsHead += 1
      guard let origin else { continue }
      if awaited == id || planted(.answersForAnotherEntry) {
        let told = planted(.answersWithTheNextIndex) ? EntryID(term: id.term, index: id.index.next) : id
        if case .batch(let batch, let place) = origin {
          answer(batch, place, told, reply, leader: shared.leader, holders: shared.holders)
        } else {
          answer(origin, success(told, reply, shared, origin))
        }
      } else {
        // Another entry is committed in its place: this one can never be.
        let entry = "entry \(awaited.index) of term \(awaited.term)"
        refuse(origin, Status(.unavailable, "\(entry) was replaced by a later leader's; send it again"))
      }
    }
    if group.commandsHead > 1024, group.commandsHead > group.commands.count / 2 {
      group.commands.removeFirst(group.commandsHead)
      group.commandsHead = 0
    }
  }

  private func success(
    _ id: EntryID, _ outcome: Replies.Reply?, _ shared: SharedEvidence, _ origin: Origin
  ) -> CallReply {
    var reply = CallReply(id: origin.callID)
    reply.index = id.index.rawValue
    reply.term = id.term.rawValue
    reply.node = configuration.id.rawValue
    reply.leader = shared.leader
    reply.ack = AckLevel.quorum.rawValue
    reply.applied = .yes
    reply.evidence = CallReply.Evidence(term: id.term.rawValue, index: id.index.rawValue, holders: shared.holders)
    switch outcome {
    case .success(let payload)?: reply.payload = payload
    case .failure(let status)?:
      reply.code = UInt32(status.code.rawValue)
      reply.message = status.message
    case nil: break
    }
    return reply
  }
}
