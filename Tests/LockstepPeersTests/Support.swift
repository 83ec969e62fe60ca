import LockstepConsensus
import LockstepPeers
import LockstepWire

/// A node as it introduces itself, of a cluster of three.
func node(
  _ number: UInt64, incarnation: UInt64 = 1, start: UInt64? = nil, disk: UInt8? = nil, cluster: UInt8 = 7,
  members: [UInt64] = [1, 2, 3], term: UInt64 = 0, last: UInt64 = 0, isDiskReplaced: Bool = false,
  peace: UInt64 = 0, lease: UInt64 = 0
) -> PeerIdentity {
  PeerIdentity(
    cluster: [UInt8](repeating: cluster, count: 16), node: NodeID(number),
    disk: [UInt8](repeating: disk ?? UInt8(number), count: 16), incarnation: incarnation, fingerprint: "test",
    start: start ?? number * 100 + incarnation, members: members.map { NodeID($0) },
    standings: [
      Standing(group: .first, term: Term(term), last: EntryID(term: Term(term), index: LogIndex(last)))
    ], isDiskReplaced: isDiskReplaced, peaceMilliseconds: peace, leaseMilliseconds: lease)
}

/// Two ends of one connection, and what each remembers: words go to the other end at once.
struct Pair {
  var dialer: Handshake
  var accepted: Handshake
  var dialerMemory = PeerMemory()
  var acceptedMemory = PeerMemory()
  private(set) var said: [String] = []
  private(set) var isDialerEstablished = false
  private(set) var isAcceptedEstablished = false
  private(set) var dialerEnding: Handshake.Ending?
  private(set) var acceptedEnding: Handshake.Ending?
  private let hello: Handshake.Word

  init(_ dialing: PeerIdentity, to target: UInt64? = nil, _ accepting: PeerIdentity) {
    (dialer, hello) = Handshake.dialing(target.map { NodeID($0) } ?? accepting.node, as: dialing)
    accepted = Handshake(accepting: accepting)
  }

  mutating func run() {
    said.append(hello.name)
    act(accepted.received(hello, acceptedMemory), isDialer: false)
  }

  private mutating func act(_ actions: [Handshake.Action], isDialer: Bool) {
    for action in actions {
      switch action {
      case .say(let word):
        said.append(word.name)
        let answer = isDialer ? accepted.received(word, acceptedMemory) : dialer.received(word, dialerMemory)
        act(answer, isDialer: !isDialer)
      case .remember(let other):
        if isDialer { dialerMemory.remember(other) } else { acceptedMemory.remember(other) }
        act(isDialer ? dialer.remembered() : accepted.remembered(), isDialer: isDialer)
      case .establish: if isDialer { isDialerEstablished = true } else { isAcceptedEstablished = true }
      case .close(let ending): if isDialer { dialerEnding = ending } else { acceptedEnding = ending }
      }
    }
  }
}
