import LockstepConsensus
import LockstepRequests
import LockstepWire

extension FuzzTarget {
  static var peer: FuzzTarget {
    messages(
      "peer", about: "messages between nodes",
      [
        .roundTrip(
          "hello", [PeerHello(versions: 1...2, identity: Samples.peer, target: NodeID(3))], pack: { $0.pack($1) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackHello(bytes) }),
        .roundTrip(
          "welcome", [(version: UInt32(1), identity: Samples.peer)],
          pack: { $0.pack(welcome: $1.identity, version: $1.version) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackWelcome(bytes) }, same: ==),
        .roundTrip(
          "confirm", [0, UInt64.max], pack: { $0.pack(confirm: $1) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackConfirm(bytes) }),
        .roundTrip(
          "refusal", ["no", "another cluster \u{1F937}"], pack: { $0.pack(refusal: $1) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackRefusal(bytes) }),
        .forward, .forwardReply,
        .roundTrip(
          "members", Samples.members, pack: { $0.pack($1) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackMembers(bytes) }),
        .core(.append), .core(.appendReply), .core(.vote), .core(.voteReply), .core(.timeoutNow), .core(.readIndex),
        .core(.readIndexReply), .chained,
      ])
  }
}

extension MessageCheck {
  /// A message of the core, and what its bytes may claim.
  fileprivate static func core(_ kind: FrameKind) -> MessageCheck {
    MessageCheck(
      name: "\(kind)", seeds: { coreSeeds(kind) },
      run: { codec, bytes throws(WireError) in
        guard let received = try codec.unpackMessage(kind, bytes) else { violated("\(kind) is no message of the core") }
        check(received, kind)
        let packed = pack(received, codec, kind)
        let again = whole("\(kind)") { () throws(WireError) in
          try reading(packed) { (bytes) throws(WireError) in try codec.unpackMessage(kind, bytes) }
        }
        demand(
          again?.message == received.message && again?.group == received.group
            && again?.previousChain == received.previousChain && again?.entries?.bytes == received.entries?.bytes,
          "\(kind): \(received) came back as \(String(describing: again))")
      })
  }

  /// A call that is passed on is read where it lies, and leaves as it came.
  fileprivate static var forward: MessageCheck {
    func packed(_ id: UInt64, _ call: [UInt8], isBatch: Bool) -> [UInt8] {
      call.withUnsafeBytes { call in
        let request = Request(
          group: .first, method: call, payloads: isBatch ? .batch(in: call, []) : .one(call), options: RequestOptions(),
          encoded: call)
        return Codec(maximumMessage: 0).pack(forward: id, timeoutMilliseconds: id / 2, request) {
          [UInt8]($0) + [UInt8]($1)
        }
      }
    }
    return MessageCheck(
      name: "forward",
      seeds: {
        [packed(.max, [1, 2, 3], isBatch: false), packed(7, [], isBatch: true), packed(0, [9], isBatch: true)]
      },
      run: { codec, bytes throws(WireError) in
        let forward = try codec.unpackForward(bytes)
        let again = packed(forward.id, [UInt8](forward.call), isBatch: forward.isBatch)
        whole("forward") { () throws(WireError) in
          try reading(again) { (bytes) throws(WireError) in
            let second = try codec.unpackForward(bytes)
            demand(
              second.id == forward.id && [UInt8](second.call) == [UInt8](forward.call)
                && second.isBatch == forward.isBatch, "a forwarded call came back as another")
          }
        }
      })
  }

  fileprivate static var forwardReply: MessageCheck {
    func packed(_ id: UInt64, _ reply: [UInt8], isBatch: Bool) -> [UInt8] {
      reply.withUnsafeBytes { reply in
        Codec.withHead(replyTo: id, reply, isBatch: isBatch) { [UInt8]($0) + [UInt8](reply) }
      }
    }
    return MessageCheck(
      name: "forward reply",
      seeds: {
        [
          packed(7, [0x28, 5, 0x30, 1], isBatch: false), packed(.max, [0x20, 1], isBatch: true),
          packed(0, [], isBatch: false),
        ]
      },
      run: { codec, bytes throws(WireError) in
        let answer = try codec.unpackForwardReply(bytes)
        let again = packed(answer.id, [UInt8](answer.reply), isBatch: answer.isBatch)
        whole("forward reply") { () throws(WireError) in
          try reading(again) { (bytes) throws(WireError) in
            let second = try codec.unpackForwardReply(bytes)
            demand(
              second.id == answer.id && [UInt8](second.reply) == [UInt8](answer.reply)
                && second.isBatch == answer.isBatch, "a forwarded answer came back as another")
          }
        }
      })
  }

  /// An append whose hash chain is put right first, or no other bytes than honest ones would pass.
  fileprivate static var chained: MessageCheck {
    MessageCheck(
      name: "chained append", seeds: { coreSeeds(.append) },
      run: { codec, bytes throws(WireError) in
        try reading(Chain.repaired(appendRequest: [UInt8](bytes))) { (bytes) throws(WireError) in
          try core(.append).run(codec, bytes)
        }
      })
  }

  private static func check(_ received: ReceivedMessage, _ kind: FrameKind) {
    guard case .append(let request) = received.message else {
      demand(received.entries == nil, "\(kind): entries with a message that has none")
      return
    }
    demand(request.entries.first == request.previous.index.next, "an append whose entries begin elsewhere")
    guard let block = received.entries else {
      demand(request.entries.isEmpty, "an append of \(request.entries.count) entries without their bytes")
      return
    }
    demand(request.entries == block.slice && block.previousChain == received.previousChain, "other entries than said")
    EntryChecks.check(block, previousTerm: request.previous.term)
  }

  private static func pack(_ received: ReceivedMessage, _ codec: Codec, _ kind: FrameKind) -> [UInt8] {
    let packed = codec.pack(received.message, group: received.group, previousChain: received.previousChain)
    demand(packed == kind, "\(kind) was packed as \(packed)")
    return codec.packed + (received.entries?.bytes ?? [])
  }

  private static func coreSeeds(_ kind: FrameKind) -> [[UInt8]] {
    let codec = Codec(maximumMessage: 0)
    func seed(_ message: Message, _ entries: [UInt8] = []) -> [UInt8] {
      _ = codec.pack(message, group: .first, previousChain: 99)
      return codec.packed + entries
    }
    return Samples.numbers.flatMap { number -> [[UInt8]] in
      let (term, index, id) = (Term(number), LogIndex(number), ReadID(number))
      let place = EntryID(term: term, index: index)
      switch kind {
      case .append:
        let block = Samples.block(Int(number % 5), first: 8)
        let previous = block.isEmpty ? place : EntryID(term: Term(4), index: LogIndex(7))
        let request = AppendRequest(
          term: Term(9), previous: previous, entries: block.slice, commit: index, readRound: number)
        return [seed(.append(request), block.bytes)]
      case .appendReply:
        let verdicts: [AppendReply.Verdict] = [.accepted(match: index), .rejected(previous: index, hint: place)]
        return verdicts.map { seed(.appendReply(AppendReply(term: term, verdict: $0, readRound: number))) }
      case .vote: return [seed(.vote(VoteRequest(term: term, last: place, isPreVote: true, isTransfer: true)))]
      case .voteReply: return [seed(.voteReply(VoteReply(term: term, isGranted: true, isPreVote: false)))]
      case .timeoutNow: return [seed(.timeoutNow(term: term))]
      case .readIndex: return [seed(.readIndex(ReadIndexRequest(term: term, id: id)))]
      case .readIndexReply:
        return [nil, index].map { seed(.readIndexReply(ReadIndexReply(term: term, id: id, index: $0))) }
      default: return []
      }
    }
  }
}
