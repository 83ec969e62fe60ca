import Testing

@testable import LockstepTool

@Suite("schedule of an open loop")
struct OpenLoopScheduleTests {
  private static let second: UInt64 = 1_000_000_000

  @Test("calls are due at equal distances")
  func distances() {
    let schedule = OpenLoopSchedule(rate: 1000)
    #expect((0..<4).map { schedule.due($0) } == [0, 1_000_000, 2_000_000, 3_000_000])
    #expect(schedule.due(1_000_000) == 1000 * Self.second)
  }

  @Test("as many are due in a second as the rate says", arguments: [1, 3, 7, 999, 9_999, 10_000])
  func rate(rate: Int) {
    let schedule = OpenLoopSchedule(rate: rate)
    #expect(schedule.count(before: Self.second) == UInt64(rate))
    #expect(schedule.count(before: 60 * Self.second) == UInt64(60 * rate))
  }

  @Test(
    "a call counts as due from its own moment on, and not before", arguments: [1, 3, 7, 9_999, 123_457, 10_000_000])
  func moments(rate: Int) {
    let schedule = OpenLoopSchedule(rate: rate)
    // The last is of the longest run that there is.
    for number in [0, 1, 2, 5, 99, UInt64(rate) * 90_000] {
      let due = schedule.due(number)
      #expect(schedule.count(dueBy: due) > number)
      #expect(schedule.count(before: due) <= number)
    }
  }

  @Test("beyond 10,000 a second they are due in batches, which are 100 µs apart or more")
  func batches() {
    #expect(OpenLoopSchedule(rate: 10_000).batch == 1)
    let schedule = OpenLoopSchedule(rate: 15_000)
    #expect(schedule.batch == 2)
    #expect((0..<4).map { schedule.due($0) } == [0, 0, 133_334, 133_334])
    let fast = OpenLoopSchedule(rate: 10_000_000)
    #expect(fast.batch == 1000 && fast.due(999) == 0 && fast.due(1000) == 100_000)
    #expect(fast.count(before: Self.second) == 10_000_000)
  }

  @Test("at the beginning the first is due, and nothing is before it")
  func beginning() {
    #expect(OpenLoopSchedule(rate: 50).count(dueBy: 0) == 1)
    #expect(OpenLoopSchedule(rate: 50).count(before: 0) == 0)
  }
}
