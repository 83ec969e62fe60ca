import LockstepExecution
import Testing

@testable import LockstepSimulation

/// Machines that break the one rule: depend on nothing but the commands.
@Suite("Machines that are not deterministic")
struct NondeterminismTests {
  /// Counts words, and answers with one of them.
  struct Words: StateMachine {
    enum Sin: Sendable {
      case none
      case iteratesADictionary
      case looksAtAClock
      case drawsByChance
      case forgetsInItsSnapshot
    }
    let sin: Sin
    var counts: [String: Int] = [:]
    var extra: UInt64 = 0

    mutating func apply(_ batch: CommandBatch, into replies: inout Replies) {
      for place in 0..<batch.count {
        let word = batch[place].call.request.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        counts[word, default: 0] += 1
        switch sin {
        case .none, .forgetsInItsSnapshot: replies.succeed(Array(word.utf8))
        case .iteratesADictionary: replies.succeed(Array((counts.keys.first ?? "").utf8))
        case .looksAtAClock:
          extra = UInt64(ContinuousClock.now.duration(to: .now).components.attoseconds)
          replies.succeed([])
        case .drawsByChance:
          extra = UInt64.random(in: 0..<1 << 60)
          replies.succeed([])
        }
      }
    }

    /// The one query is of the time, which is the log's.
    func query(_ call: MethodCall, _ context: QueryContext) throws(CallStatus) -> [UInt8] {
      Array("\(context.time) \(context.index)".utf8)
    }
    func validate(_ call: MethodCall) throws(CallStatus) {}
    func kind(ofMethod method: RawSpan) -> MethodKind? { method.byteCount == 6 ? .query : .command }

    let version: UInt32 = 1

    func freeze() -> any Snapshot {
      EncodedSnapshot(of: counts) { counts, buffer in
        for (word, count) in counts.sorted(by: { $0.key < $1.key }) {
          buffer.append(text: word)
          buffer.append(varint: UInt64(count))
        }
        return false
      }
    }

    func restored(from snapshot: inout SnapshotReader) throws(CallStatus) -> Words {
      var words = Words(sin: sin)
      while try !snapshot.isAtEnd() {
        let (word, count) = (try snapshot.text(), try snapshot.varint())
        words.counts[word] = sin == .forgetsInItsSnapshot ? 1 : Int(count)
      }
      return words
    }

    var digest: UInt64 {
      counts.sorted { $0.key < $1.key }.reduce(extra) { sum, item in
        item.key.utf8.reduce(sum &* 31 &+ UInt64(item.value)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
      }
    }
    var schemas: [Schema] { [] }
  }

  private func call(_ random: inout SimulationRandom) -> SimulatedCall {
    random.below(8) == 0
      ? SimulatedCall("w/Time", []) : SimulatedCall("w/Add", Array("word\(random.below(40))".utf8))
  }

  private func run(_ sin: Words.Sin, seeds: ClosedRange<UInt64> = 1...4) throws {
    try ClusterSimulation(Words(sin: sin), seeds: seeds, nodes: 3).run(call)
  }

  @Test("an honest machine passes, also where it answers with the time of its context")
  func honest() throws { try run(.none, seeds: 1...2) }

  @Test(
    "the order of a dictionary, a clock and chance are found",
    arguments: [Words.Sin.iteratesADictionary, .looksAtAClock, .drawsByChance])
  func found(sin: Words.Sin) throws {
    do {
      try run(sin)
      Issue.record("\(sin) was not found")
    } catch let failure as SimulationFailure {
      #expect([.equalDigests, .honestAnswer].contains(failure.failure.invariant), "\(failure)")
      #expect(failure.command != nil)
    }
  }

  @Test("a snapshot that is no inverse of its restoring is found")
  func snapshot() {
    // Not by way of ClusterSimulation, which looks for the shortest schedule: that takes many runs, and is seen above.
    let isFound = (1...4).contains { seed in
      Trial(seed: seed, machine: Words(sin: .forgetsInItsSnapshot), nodes: 3, next: call, invariant: { _ in nil })
        .run(without: [], quietAfter: nil).report.failure != nil
    }
    #expect(isFound)
  }
}
