import LockstepConsensus
import LockstepExecution
import LockstepWire

// Queries: at which index they may be answered, and the answer.

extension Node {
  func takeQuery(_ group: Group, _ header: CallHeader, _ origin: Origin, _ deadline: UInt64, _ call: Call) {
    let level = header.read == 0 ? .linearizable : ReadLevel(rawValue: header.read)
    switch level {
    case .linearizable, .any, .atIndex: break
    case .lease, .session, .bounded, nil:
      let name = level?.name ?? "number \(header.read)"
      let message = "read level '\(name)' is not served by this version; 'linearizable', 'any' and 'at:INDEX' are"
      refuse(origin, Status(.unimplemented, message))
      return
    }
    callsUnderWay += 1
    callBytesUnderWay += call.methodBytes.count + call.requestBytes.count
    group.reads.append(
      PendingRead(
        header: header, level: level ?? .linearizable, origin: origin, deadline: deadline,
        method: [UInt8](call.methodBytes), payload: [UInt8](call.requestBytes), index: LogIndex(header.readIndex)))
  }

  /// All linearizable reads of a turn share one request for an index; the others only wait for the machine.
  func requestReads(_ group: Group) {
    guard !group.reads.isEmpty else { return }
    var linearizable: [PendingRead] = []
    for var read in group.reads {
      switch read.level {
      case .linearizable: linearizable.append(read)
      case .any:
        read.index = .zero
        group.waiting.append(read)
      case .atIndex, .lease, .session, .bounded: group.waiting.append(read)
      }
    }
    group.reads.removeAll(keepingCapacity: true)
    guard !linearizable.isEmpty else { return }
    let id = ReadID(group.nextRead)
    group.nextRead += 1
    group.confirming.append((id, linearizable))
    step(group, .readRequested(id))
  }

  func readReady(_ group: Group, _ id: ReadID, _ index: LogIndex) {
    guard let place = group.confirming.firstIndex(where: { $0.id == id }) else { return }
    for var read in group.confirming.remove(at: place).reads {
      read.index = index
      group.waiting.append(read)
    }
  }

  func readRefused(_ group: Group, _ id: ReadID, _ refusal: ReadRefusal) {
    guard let place = group.confirming.firstIndex(where: { $0.id == id }) else { return }
    let status: Status
    switch refusal {
    case .noLeader:
      let message =
        "no leader is known to node \(configuration.id), so nobody can say what is committed; "
        + "'--read any' answers from what this node has"
      status = Status(.unavailable, message)
    case .leadershipLost:
      status = Status(.unavailable, "the leader changed while the read was confirmed; ask again")
    case .overloaded: status = Status(.resourceExhausted, "too many reads wait to be confirmed")
    }
    for read in group.confirming.remove(at: place).reads { finish(read) { refuse($0, status) } }
  }

  private func finish(_ read: PendingRead, _ answer: (Origin) -> Void) {
    callsUnderWay -= 1
    callBytesUnderWay -= read.method.count + read.payload.count
    answer(read.origin)
  }

  /// Answers the reads whose index has been applied, up to the limit of a turn. Returns true when there are more. Those of
  /// a client that has much to read already wait for a later turn, a tick away at most.
  func answerReads(_ group: Group) -> Bool {
    guard !group.waiting.isEmpty else { return false }
    let applied = group.executor.applied
    var budget = limits.answerBytes
    var isMore = false
    var remaining: [PendingRead] = []
    for read in group.waiting {
      if read.index > applied, !planted(.answersReadsBeforeTheyAreApplied) {
        remaining.append(read)
      } else if case .client(let sink, _) = read.origin, !sink.hasRoom {
        remaining.append(read)
      } else if budget > 0 {
        budget -= answer(read, group)
      } else {
        isMore = true
        remaining.append(read)
      }
    }
    group.waiting = remaining
    return isMore
  }

  /// Returns the bytes of the answer.
  private func answer(_ read: PendingRead, _ group: Group) -> Int {
    var bytes = 0
    finish(read) { origin in
      var reply = CallReply(id: origin.callID)
      reply.index = group.executor.applied.rawValue
      reply.term = group.executor.appliedTerm.rawValue
      reply.node = configuration.id.rawValue
      reply.leader = group.leader?.rawValue ?? 0
      reply.read = read.level.rawValue
      read.method.withUnsafeBytes { method in
        read.payload.withUnsafeBytes { payload in
          do throws(Status) {
            reply.payload = try group.executor.query(Call(method: method, request: payload))
          } catch {
            reply.code = UInt32(error.code.rawValue)
            reply.message = error.message
            reply.applied = .no
          }
        }
      }
      bytes = reply.payload.count
      self.answer(origin, reply)
    }
    return bytes
  }

  func expireReads(_ group: Group) {
    for place in group.confirming.indices {
      let late = group.confirming[place].reads.filter { $0.deadline <= now }
      guard !late.isEmpty else { continue }
      group.confirming[place].reads.removeAll { $0.deadline <= now }
      for read in late {
        finish(read) {
          refuse($0, Status(.deadlineExceeded, "no majority of the voters confirmed the leader in time"))
        }
      }
    }
    group.confirming.removeAll { $0.reads.isEmpty }
    let applied = group.executor.applied
    let late = group.waiting.filter { $0.deadline <= now }
    group.waiting.removeAll { $0.deadline <= now }
    for read in late {
      finish(read) {
        let message = "node \(configuration.id) has applied entry \(applied), and \(read.index) was asked for"
        refuse($0, Status(.deadlineExceeded, message))
      }
    }
    for batch in group.confirming { for read in batch.reads { nextDeadline = min(nextDeadline, read.deadline) } }
    for read in group.waiting { nextDeadline = min(nextDeadline, read.deadline) }
  }
}
