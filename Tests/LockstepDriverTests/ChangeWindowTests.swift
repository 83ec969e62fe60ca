import LockstepConsensus
import LockstepExecution
import LockstepRequests
import Testing

@testable import LockstepDriver

@Suite("the window of changes")
struct ChangeWindowTests {
  private func change(_ index: UInt64, bytes: Int = 0) -> Change {
    Change(
      index: LogIndex(index), term: Term(1), time: index, method: [], request: [UInt8](repeating: 0, count: bytes),
      reply: .success([]), events: [])
  }

  private func seen(_ window: ChangeWindow, from index: UInt64) -> (seen: [UInt64], next: UInt64?) {
    var seen: [UInt64] = []
    let next = window.forEach(from: LogIndex(index)) {
      seen.append($0.index.rawValue)
      return true
    }
    return (seen, next?.rawValue)
  }

  @Test("changes between entries that are none: all of them from anywhere, and the next is behind what is carried out")
  func gaps() {
    var window = ChangeWindow(maximumBytes: 1 << 20, isAlwaysKept: false, applied: .zero)
    window.add([change(2), change(3), change(6)], applied: LogIndex(8), now: 0, mayEnd: false)
    #expect(seen(window, from: 1) == ([2, 3, 6], 9))
    #expect(seen(window, from: 3) == ([3, 6], 9))
    #expect(seen(window, from: 4) == ([6], 9))
    #expect(seen(window, from: 7) == ([], 9))
    // Who asks for what is still to come waits for it there.
    #expect(seen(window, from: 20) == ([], 20))
  }

  @Test("a reader that stops goes on with the entry behind the last that it was told of")
  func stops() {
    var window = ChangeWindow(maximumBytes: 1 << 20, isAlwaysKept: false, applied: .zero)
    window.add([change(2), change(5)], applied: LogIndex(5), now: 0, mayEnd: false)
    #expect(window.forEach(from: LogIndex(1)) { _ in false } == LogIndex(3))
  }

  @Test("full: the oldest go, and who comes for them is told where the window begins")
  func full() {
    let most = 3 * change(1, bytes: 1000).byteCount
    var window = ChangeWindow(maximumBytes: most, isAlwaysKept: true, applied: .zero)
    for index in 1...10 as ClosedRange<UInt64> {
      window.add([change(index, bytes: 1000)], applied: LogIndex(index), now: 0, mayEnd: true)
    }
    #expect(window.first == LogIndex(8))
    #expect(seen(window, from: 7) == ([], nil))
    #expect(seen(window, from: 8) == ([8, 9, 10], 11))
  }

  @Test("full, and nobody has followed for ten minutes: none is kept, until somebody comes, and then from there on")
  func ends() {
    var window = ChangeWindow(maximumBytes: 1500, isAlwaysKept: false, applied: .zero)
    window.follow(0, submitted: .zero)
    window.add([change(1, bytes: 1000)], applied: LogIndex(1), now: 1, mayEnd: true)
    window.add([change(2, bytes: 1000)], applied: LogIndex(2), now: ChangeWindow.patience - 1, mayEnd: true)
    #expect(window.isKept && window.first == LogIndex(2))
    window.add([change(3, bytes: 1000)], applied: LogIndex(3), now: ChangeWindow.patience, mayEnd: true)
    #expect(!window.isKept)
    window.add([change(4)], applied: LogIndex(4), now: ChangeWindow.patience, mayEnd: true)
    #expect(seen(window, from: 4) == ([], nil))
    // Entry 6 is under way, and its change will not be there.
    window.follow(ChangeWindow.patience + 1, submitted: LogIndex(6))
    window.add([change(7)], applied: LogIndex(7), now: ChangeWindow.patience + 1, mayEnd: true)
    #expect(seen(window, from: 6) == ([], nil))
    #expect(seen(window, from: 7) == ([7], 8))
  }

  @Test("another state: nothing of what was before is told")
  func reset() {
    var window = ChangeWindow(maximumBytes: 1 << 20, isAlwaysKept: false, applied: .zero)
    window.add([change(1), change(2)], applied: LogIndex(2), now: 0, mayEnd: false)
    window.begin(behind: LogIndex(40))
    #expect(seen(window, from: 3) == ([], nil))
    #expect(seen(window, from: 41) == ([], 41))
  }
}
