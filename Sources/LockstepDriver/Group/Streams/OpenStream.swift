import LockstepConsensus
import LockstepExecution
import LockstepRequests

/// One stream that a client has open at this node.
final class OpenStream {
  /// More is never on its way to one client: what is granted beyond it is not.
  static let maximumCredit = 16 * 1024 * 1024
  /// Who takes nothing for so long has no copy of the state kept for it. In nanoseconds.
  private static let statePatience: UInt64 = 30_000_000_000
  /// How far it is, a client hears so often even where nothing concerns it. In nanoseconds.
  private static let reportEvery: UInt64 = 1_000_000_000

  /// Whose it is: of which connection, and its number there.
  struct Key: Hashable {
    private let writer: ObjectIdentifier
    private let id: UInt64
    init(_ writer: any StreamWriter, _ id: UInt64) { (self.writer, self.id) = (ObjectIdentifier(writer), id) }
  }

  let id: UInt64
  let writer: any StreamWriter
  let source: MachineStream
  /// Bytes that may still be told; one item may go beyond.
  var credit: Int
  /// Of changes behind the state, or of a stream without it: what was not looked at yet.
  var next = LogIndex.zero
  /// What it was last told was next; zero: it is amid the state.
  private var told: LogIndex?
  private var lastTold: UInt64 = 0
  /// It begins with this state, of which some is still to be told.
  private var state: FrozenMachine?
  private var lastOfState: [UInt8]?
  private var stalledSince: UInt64?

  init(_ id: UInt64, _ writer: any StreamWriter, _ source: MachineStream, credit: Int) {
    self.id = id
    self.writer = writer
    self.source = source
    self.credit = min(max(0, credit), Self.maximumCredit)
  }

  var isAmidState: Bool { state != nil }
  var key: Key { Key(writer, id) }

  func begins(with copy: FrozenMachine) {
    state = copy
    next = copy.last.index.next
  }

  /// The next part of the state, which may be the last; nil: there is none. Its events are of the entry that the state is of.
  func nextPart() throws(CallStatus) -> StreamItem? {
    guard let state else { return nil }
    stalledSince = nil
    let id = state.last
    let payloads = try state.state(of: source, behind: lastOfState)
    guard let last = payloads.last else {
      self.state = nil
      let end = state.end(of: source)
      return StreamItem(index: id.index, term: id.term, isState: true, payloads: end.map { [$0] } ?? [])
    }
    lastOfState = last
    return StreamItem(index: id.index, term: id.term, isState: true, payloads: payloads)
  }

  /// Nothing can be told now. Throws when that has been so for too long.
  func checkStalled(_ now: UInt64) throws(CallStatus) {
    guard state != nil else { return }
    let since = stalledSince ?? now
    stalledSince = since
    guard now < since &+ Self.statePatience else {
      throw CallStatus(.aborted, "the state with which the stream begins was not taken for 30 s: begin again")
    }
  }

  /// It has heard nothing yet, or nothing for a while though it has got on.
  func isReportDue(_ now: UInt64) -> Bool {
    guard let told else { return true }
    if told == .zero { return !isAmidState }
    return told < next && now >= lastTold &+ Self.reportEvery
  }

  /// It hears something the next time, whether or not there is anything.
  func isAsked() { told = nil }

  func isTold(_ now: UInt64) {
    told = isAmidState ? .zero : next
    lastTold = now
  }
}
