import LockstepConsensus
import LockstepExecution
import LockstepWire

/// What the committed entries come to when one machine applies them one by one: what every replica and every answer is
/// held against.
struct Replay {
  private var executor: Executor
  /// What one entry came to.
  struct Outcome {
    let term: Term
    /// Of the state after it.
    let digest: UInt64
    let time: UInt64
    let reply: Replies.Reply?
  }

  private(set) var outcomes: Indexed<Outcome>
  /// Of the commands that were carried out, in order: as those hear of them who follow the changes.
  private var changes: [(index: LogIndex, bytes: [UInt8])] = []
  private let isFollowed: Bool
  /// By the number that a command carries, where it is in the log.
  private(set) var places: [UInt64: LogIndex] = [:]
  private(set) var configurations: [LogIndex: Members] = [:]
  /// Numbers of the commands that were sent, and those that were said not to be applied.
  private(set) var sent: Set<UInt64> = []
  private var denied: Set<UInt64> = []
  private struct SessionCallID: Hashable {
    let session: UInt64
    let sequence: UInt64
  }
  /// Calls in sessions that were carried out, and those that never will be.
  private var carriedOut: Set<SessionCallID> = []
  private var never: Set<SessionCallID> = []
  private let workload: any Workload

  init(
    group: GroupID, machine: any StateMachine, workload: any Workload, limits: SessionLimits = .usual,
    isFollowed: Bool = false
  ) {
    executor = Executor(group: group, machine: CountingMachine(machine), limits: limits)
    self.isFollowed = isFollowed
    outcomes = Indexed(base: executor.applied)
    self.workload = workload
  }

  mutating func isSent(_ number: UInt64) { sent.insert(number) }

  typealias Problem = (invariant: Invariant, message: String)

  mutating func isDenied(_ number: UInt64) -> Problem? {
    denied.insert(number)
    guard let index = places[number] else { return nil }
    return (.notAppliedIsFinal, "a command is said not to be applied, and is entry \(index)")
  }

  /// The next committed entry. Returns what is wrong with it.
  mutating func apply(_ bytes: [UInt8], _ id: EntryID) -> Problem? {
    var problem: Problem?
    var answer: Replies.Reply?
    bytes.withUnsafeBytes { bytes in
      var cursor = WireCursor(bytes)
      do throws(WireError) {
        _ = try cursor.varint()
        let entry = UnsafeRawBufferPointer(rebasing: bytes[try cursor.delimited()])
        let header = try EntryHeader(parsing: entry)
        let payload = UnsafeRawBufferPointer(rebasing: entry[header.payload])
        if header.kind == .configuration { configurations[id.index] = try Codec.members(from: Array(payload)) }
        let method = UnsafeRawBufferPointer(rebasing: entry[header.method])
        let call = header.kind == .session ? SessionCall(method: method, payload: payload) : nil
        let before = carriedOutCount
        executor.apply(
          [
            Executor.Entry(
              id: header.id, kind: header.kind, timestamp: header.timestamp, session: header.session,
              sequence: header.sequence, call: MethodCall(method: method, request: payload), sessionCall: call)
          ], answer: { answer = $1 })
        let isCarriedOut = carriedOutCount != before
        if isFollowed, isCarriedOut, header.kind == .command {
          changes.append((id.index, Self.told(header, method: method, payload: payload, time: executor.time, answer)))
        }
        if header.kind == .command, let number = workload.number(of: payload) {
          problem = note(number, id.index, isCarriedOut: isCarriedOut)
        }
        if let found = judgeSession(header, call, answer, isCarriedOut: isCarriedOut) { problem = problem ?? found }
        if header.kind == .command, isCarriedOut {
          var reply: [UInt8]?
          if case .success(let bytes)? = answer { reply = bytes }
          workload.committed(
            id.index, method: String(decoding: method, as: UTF8.self), request: Array(payload), reply: reply)
          if problem == nil, let found = workload.applied(id.index, machine) { problem = (.user, found) }
        }
      } catch {
        problem = (.logMatching, "entry \(id.index) does not parse: \(error)")
      }
    }
    outcomes.append(Outcome(term: id.term, digest: executor.digest, time: executor.time, reply: answer))
    return problem
  }

  /// The first change at this index or behind it.
  func change(from index: LogIndex) -> (index: LogIndex, bytes: [UInt8])? {
    var (low, high) = (0, changes.count)
    while low < high {
      let middle = (low + high) / 2
      if changes[middle].index < index { low = middle + 1 } else { high = middle }
    }
    return low < changes.count ? changes[low] : nil
  }

  private static func told(
    _ header: EntryHeader, method: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, time: UInt64,
    _ answer: Replies.Reply?
  ) -> [UInt8] {
    var fields = ChangeMessages.Fields(
      index: header.id.index.rawValue, term: header.id.term.rawValue, time: time, method: Array(method),
      request: Array(payload))
    switch answer {
    case .success(let bytes)?: fields.reply = bytes
    case .failure(let status)?:
      (fields.code, fields.message) = (UInt64(status.code.rawValue), Array(status.message.utf8))
    case nil: break
    }
    return ChangeMessages.bytes(fields)
  }

  /// By the state that the entry leaves, and not by what the table of sessions says of itself.
  private mutating func judgeSession(
    _ header: EntryHeader, _ call: SessionCall?, _ answer: Replies.Reply?, isCarriedOut: Bool
  ) -> Problem? {
    if case .resolve(let session, let sequence)? = call, case .success(let reply)? = answer {
      let id = SessionCallID(session: session, sequence: sequence)
      let outcome = (try? SessionCall.fields(of: reply))?.numbers[1] ?? 0
      if outcome == 2 { never.insert(id) }
      let isTrue = outcome == 0 || (outcome == 1) == carriedOut.contains(id)
      return isTrue ? nil : (.exactlyOnce, "call \(sequence) of session \(session) is resolved as \(outcome)")
    }
    guard header.session != 0, isCarriedOut else { return nil }
    let id = SessionCallID(session: header.session, sequence: header.sequence)
    let name = "call \(id.sequence) of session \(id.session)"
    if never.contains(id) { return (.exactlyOnce, "\(name) was never to be, and is entry \(header.id.index)") }
    return carriedOut.insert(id).inserted
      ? nil : (.exactlyOnce, "\(name) is carried out again by entry \(header.id.index)")
  }

  /// That a command carries, if this entry is one.
  func number(of bytes: [UInt8]) -> UInt64? {
    bytes.withUnsafeBytes { bytes -> UInt64? in
      var cursor = WireCursor(bytes)
      do throws(WireError) {
        _ = try cursor.varint()
        let entry = UnsafeRawBufferPointer(rebasing: bytes[try cursor.delimited()])
        let header = try EntryHeader(parsing: entry)
        return header.kind == .command
          ? workload.number(of: UnsafeRawBufferPointer(rebasing: entry[header.payload])) : nil
      } catch { return nil }
    }
  }

  private var carriedOutCount: Int { (executor.machine as? CountingMachine)?.commands ?? 0 }
  private var machine: any StateMachine { (executor.machine as? CountingMachine)?.machine ?? executor.machine }

  private mutating func note(_ number: UInt64, _ index: LogIndex, isCarriedOut: Bool) -> Problem? {
    guard isCarriedOut else {
      return sent.contains(number) ? nil : (.noPhantom, "entry \(index) is a command that nobody has sent")
    }
    if let before = places[number] { return (.noPhantom, "one command is entry \(before) and entry \(index)") }
    places[number] = index
    if !sent.contains(number) { return (.noPhantom, "entry \(index) is a command that nobody has sent") }
    if denied.contains(number) {
      return (.notAppliedIsFinal, "entry \(index) is a command that was said not to be applied")
    }
    return nil
  }
}
