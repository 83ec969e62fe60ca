import LockstepConsensus
import LockstepPeers
import LockstepWire
import Testing

@Suite("the first words between two nodes")
struct HandshakeTests {
  @Test("hello, welcome, confirmation: both are established, and each remembers the other")
  func welcome() {
    var pair = Pair(node(1), node(2))
    pair.run()
    #expect(pair.said == ["a hello", "a welcome", "a confirmation"])
    #expect(pair.isDialerEstablished && pair.isAcceptedEstablished)
    #expect(pair.dialerMemory.peers.map(\.node) == [NodeID(2)])
    #expect(pair.acceptedMemory.peers.map(\.node) == [NodeID(1)])
    #expect(pair.dialer.isEstablished && pair.accepted.peer == NodeID(1))
  }

  @Test("nothing is remembered before both have accepted: who refuses the welcome has left no trace at the other")
  func refusedWelcome() {
    var pair = Pair(node(3, disk: 33), node(1))
    // From another life under the same names: node 3 knows a node 1 with another disk.
    pair.dialerMemory.remember(node(1, disk: 11))
    pair.run()
    #expect(pair.dialerEnding == .refused(.otherDisk(NodeID(1))))
    guard case .refusedByOther(let reason, isForDisk: true)? = pair.acceptedEnding else {
      Issue.record("node 1 was told nothing")
      return
    }
    #expect(reason.contains("another disk than it had"))
    #expect(pair.acceptedMemory.peers.isEmpty)
    // So node 3 is welcome once its directory is empty.
    var again = Pair(node(3, disk: 34), node(1))
    again.acceptedMemory = pair.acceptedMemory
    again.run()
    #expect(again.isDialerEstablished && again.isAcceptedEstablished)
  }

  @Test("what must be equal is compared, and the refusal says what to do, to both ends", arguments: 0..<9)
  func refusals(number: Int) {
    let cases: [(Pair, PeerRefusal, String)] = [
      (
        Pair(node(1), node(2, cluster: 8)),
        .otherCluster(
          NodeID(1), theirs: [UInt8](repeating: 7, count: 16), ours: [UInt8](repeating: 8, count: 16)),
        "this is cluster 0808"
      ),
      (
        Pair(node(1), node(2, members: [1, 2, 3, 4, 5])),
        .otherMembers(
          NodeID(1), theirs: [1, 2, 3].map { NodeID($0) }, here: NodeID(2), ours: [1, 2, 3, 4, 5].map { NodeID($0) }),
        "members 1, 2, 3, node 2 with the members 1, 2, 3, 4, 5"
      ),
      (Pair(node(1), to: 3, node(2)), .otherTarget(NodeID(3), here: NodeID(2)), "this is node 2, not node 3"),
      (Pair(node(2), node(2)), .ownNumber(NodeID(2)), "under one number"),
      (Pair(node(4), node(2)), .noMember(NodeID(4), members: [1, 2, 3].map { NodeID($0) }), "node 4 is no member"),
      (Pair(node(1, start: 0), node(2)), .malformed(NodeID(1), "a start without an id"), "without an id"),
      (
        Pair(node(1, members: []), node(2)),
        .otherMembers(NodeID(1), theirs: [], here: NodeID(2), ours: [1, 2, 3].map { NodeID($0) }), "same members"
      ),
      (
        Pair(node(1, peace: 100), node(2, peace: 300, lease: 300)),
        .shortPeace(NodeID(1), milliseconds: 100, counting: NodeID(2), lease: 300), "the same tick"
      ),
      (
        Pair(node(1, peace: 300, lease: 300), node(2)),
        .shortPeace(NodeID(2), milliseconds: 0, counting: NodeID(1), lease: 300), "for 0 ms"
      ),
    ]
    var pair = cases[number].0
    let (_, refusal, text) = cases[number]
    pair.run()
    #expect(pair.acceptedEnding == .refused(refusal))
    #expect(pair.dialerEnding == .refusedByOther(refusal.description, isForDisk: false))
    #expect(refusal.description.contains(text))
    #expect(pair.dialerMemory.peers.isEmpty && pair.acceptedMemory.peers.isEmpty)
  }

  @Test("who keeps the peace for long enough is let in, whether or not it counts on that itself")
  func peace() {
    for other in [node(2, peace: 300), node(2, peace: 300, lease: 300), node(2, peace: 400, lease: 200)] {
      var pair = Pair(node(1, peace: 300, lease: 300), other)
      pair.run()
      #expect(pair.isDialerEstablished && pair.isAcceptedEstablished)
    }
  }

  @Test("another release's protocol is refused with both ranges")
  func versions() {
    var accepted = Handshake(accepting: node(2))
    let hello = PeerHello(versions: 90...91, identity: node(1), target: NodeID(2))
    let actions = accepted.received(.hello(hello), PeerMemory())
    #expect(actions.last == .close(.refused(.versions(90...91))))
    var (dialer, _) = Handshake.dialing(NodeID(2), as: node(1))
    #expect(
      dialer.received(.welcome(node(2), version: 90), PeerMemory()).last == .close(.refused(.versions(90...90))))
  }

  @Test("somebody else who answers is refused")
  func otherNode() {
    var (dialer, _) = Handshake.dialing(NodeID(2), as: node(1))
    let actions = dialer.received(.welcome(node(3), version: PeerVersion.current), PeerMemory())
    #expect(actions.last == .close(.refused(.otherNode(NodeID(3), expected: NodeID(2)))))
  }

  @Test("of two processes under one number, whose hellos cross, one is established")
  func clonesCross() {
    var memory = PeerMemory()
    var ends = [Handshake(accepting: node(1)), Handshake(accepting: node(1))]
    for place in 0...1 {
      let clone = node(2, incarnation: 5, start: UInt64(place) + 50)
      let hello = PeerHello(
        versions: PeerVersion.oldest...PeerVersion.current, identity: clone, target: NodeID(1))
      #expect(ends[place].received(.hello(hello), memory).count == 1)
    }
    let first = ends[0].received(.confirm(start: node(1).start), memory)
    guard case .remember(let other)? = first.first else {
      Issue.record("\(first)")
      return
    }
    memory.remember(other)
    let second = ends[1].received(.confirm(start: node(1).start), memory)
    #expect(second.last == .close(.refused(.otherStart(NodeID(2), 5))))
    #expect(ends[0].remembered() == [.establish(other)])
  }

  @Test("a refusal is one in every state, and nothing is said after it")
  func refusalAnyTime() {
    var pair = Pair(node(1), node(2))
    pair.run()
    #expect(
      pair.accepted.received(.refusal("no", isForDisk: false), PeerMemory()) == [
        .close(.refusedByOther("no", isForDisk: false))
      ])
    #expect(pair.accepted.received(.refusal("no", isForDisk: false), PeerMemory()) == [])
    #expect(
      pair.dialer.received(.refusal("no", isForDisk: false), PeerMemory()) == [
        .close(.refusedByOther("no", isForDisk: false))
      ])
    var fresh = Handshake(accepting: node(2))
    #expect(
      fresh.received(.refusal("no", isForDisk: false), PeerMemory()) == [
        .close(.refusedByOther("no", isForDisk: false))
      ])
  }

  @Test("words out of turn are refused, in every state")
  func outOfTurn() {
    let words: [Handshake.Word] = [
      .hello(PeerHello(versions: PeerVersion.oldest...PeerVersion.current, identity: node(1), target: NodeID(2))),
      .welcome(node(2), version: PeerVersion.current), .confirm(start: node(2).start),
    ]
    for (turn, right) in [(0, 0), (1, 2)] {
      for (place, word) in words.enumerated() where place != right {
        var accepted = Handshake(accepting: node(2))
        if turn == 1 { _ = accepted.received(words[0], PeerMemory()) }
        guard case .close(.refused(.unexpected))? = accepted.received(word, PeerMemory()).last else {
          Issue.record("\(word.name) was taken in turn \(turn)")
          continue
        }
        #expect(accepted.received(words[right], PeerMemory()) == [])
      }
    }
  }

  @Test("words survive the wire")
  func wire() throws {
    let codec = Codec(maximumMessage: 4096)
    let words: [Handshake.Word] = [
      .hello(PeerHello(versions: 2...3, identity: node(1, term: 4, last: 9), target: NodeID(2))),
      .hello(
        PeerHello(versions: 2...3, identity: node(1, isDiskReplaced: true), target: NodeID(2))),
      .welcome(node(2, isDiskReplaced: true), version: 2),
      .welcome(node(2, term: .max, last: .max), version: 2), .confirm(start: .max), .refusal("no", isForDisk: false),
    ]
    for word in words {
      let kind = word.pack(codec)
      let bytes = codec.packed
      #expect(try bytes.withUnsafeBytes { try Handshake.Word(kind, $0, codec) } == word)
    }
    #expect(try [UInt8]().withUnsafeBytes { try Handshake.Word(.append, $0, codec) } == nil)
  }
}
