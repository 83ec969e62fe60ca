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
    let reply: Replies.Reply?
  }

  private(set) var outcomes: Indexed<Outcome>
  /// By the number that a command carries, where it is in the log.
  private(set) var places: [UInt64: LogIndex] = [:]
  private(set) var configurations: [LogIndex: Members] = [:]
  /// Numbers of the commands that were sent, and those that were said not to be applied.
  private(set) var sent: Set<UInt64> = []
  private var denied: Set<UInt64> = []
  private let workload: any Workload

  init(group: GroupID, machine: any StateMachine, workload: any Workload) {
    executor = Executor(group: group, machine: machine)
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
        if header.kind == .command, let number = workload.number(of: payload) { problem = note(number, id.index) }
        executor.apply(
          [
            Executor.Entry(
              id: header.id, kind: header.kind, timestamp: header.timestamp, session: header.session,
              sequence: header.sequence,
              call: MethodCall(method: UnsafeRawBufferPointer(rebasing: entry[header.method]), request: payload))
          ], answer: { answer = $1 })
        if header.kind == .command {
          var reply: [UInt8]?
          if case .success(let bytes)? = answer { reply = bytes }
          let method = String(decoding: entry[header.method], as: UTF8.self)
          workload.committed(id.index, method: method, request: Array(payload), reply: reply)
          if problem == nil, let found = workload.applied(id.index, executor.machine) { problem = (.user, found) }
        }
      } catch {
        problem = (.logMatching, "entry \(id.index) does not parse: \(error)")
      }
    }
    outcomes.append(Outcome(term: id.term, digest: executor.machine.digest, reply: answer))
    return problem
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

  private mutating func note(_ number: UInt64, _ index: LogIndex) -> Problem? {
    if let before = places[number] { return (.noPhantom, "one command is entry \(before) and entry \(index)") }
    places[number] = index
    if !sent.contains(number) { return (.noPhantom, "entry \(index) is a command that nobody has sent") }
    if denied.contains(number) {
      return (.notAppliedIsFinal, "entry \(index) is a command that was said not to be applied")
    }
    return nil
  }
}
