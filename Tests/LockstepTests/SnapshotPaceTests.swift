import Testing

@testable import Lockstep

@Suite("The pace of a snapshot")
struct SnapshotPaceTests {
  private static let second: UInt64 = 1_000_000_000
  private static let chunk = 256 << 10

  /// Does chunks that take so long each, with their rests, until so much time has passed. Returns the rates of which it
  /// was told, and how much was done.
  private func run(
    _ pace: inout SnapshotPace, from begin: UInt64, seconds: UInt64, chunkTime: UInt64
  ) -> (now: UInt64, told: [UInt64], bytes: Int) {
    var (now, told, bytes) = (begin, [UInt64](), 0)
    while now < begin + seconds * Self.second {
      let (rest, tooSlow) = pace.worked(Self.chunk, from: now, to: now + chunkTime)
      now += chunkTime + rest
      bytes += Self.chunk
      if let tooSlow { told.append(tooSlow) }
    }
    return (now, told, bytes)
  }

  @Test("as the last of all, and at rest for as long as it works, for as long as that is enough")
  func quick() {
    var pace = SnapshotPace(now: 5)
    #expect(pace.niceness == 19)
    let (rest, tooSlow) = pace.worked(Self.chunk, from: 100, to: 1100)
    #expect(rest == 1000 && tooSlow == nil)
    // 50 MB a second, with the rests.
    let done = run(&pace, from: 2000, seconds: 120, chunkTime: 2_600_000)
    #expect(done.told.isEmpty && pace.niceness == 19 && !pace.isLikeAllOthers)
  }

  @Test("one that stays below the least rate gets ahead, step by step, until it is like all others and rests no more")
  func slow() {
    var pace = SnapshotPace(now: 0)
    // Half a MB a second.
    var (now, niceness) = (UInt64(0), [Int32]())
    for _ in 0..<60 {
      let done = run(&pace, from: now, seconds: 1, chunkTime: Self.second / 4)
      now = done.now
      #expect(done.told.allSatisfy { $0 < SnapshotPace.leastRate / 8 })
      if niceness.last != pace.niceness { niceness.append(pace.niceness) }
    }
    #expect(niceness == [19, 14, 9, 4, 0] && pace.isLikeAllOthers)
    #expect(pace.worked(Self.chunk, from: now, to: now + Self.second).rest == 0)
    #expect(
      run(&pace, from: now, seconds: 60, chunkTime: Self.second).told.isEmpty, "there is no further step to tell of")
  }

  @Test("not before it was watched for a while, and no further than it takes")
  func steps() {
    var pace = SnapshotPace(now: 0)
    #expect(run(&pace, from: 0, seconds: 9, chunkTime: Self.second / 4).told.isEmpty && pace.niceness == 19)
    let second = run(&pace, from: 9 * Self.second, seconds: 3, chunkTime: Self.second / 4)
    #expect(second.told.count == 1 && pace.niceness == 14)
    let third = run(&pace, from: second.now, seconds: 120, chunkTime: 15_000_000)
    #expect(third.told.isEmpty && pace.niceness == 14, "now it is quick enough")
  }

  @Test("a step that was held up for very long counts as slow, and is not followed by as long a rest")
  func heldUp() {
    var pace = SnapshotPace(now: 0)
    let (rest, tooSlow) = pace.worked(Self.chunk, from: 0, to: 3600 * Self.second)
    #expect(tooSlow == 0 && pace.niceness == 14 && rest == SnapshotPace.longestRest)
  }

  @Test("a clock that stands still, or a step of nothing, is no trouble")
  func nothing() {
    var pace = SnapshotPace(now: 10)
    for count in [0, -1, Int.max] {
      #expect(pace.worked(count, from: 10, to: 10) == (0, nil))
      #expect(pace.worked(0, from: 10, to: 5) == (0, nil))
    }
  }
}
