extension CounterSearch {
  /// From where the rest of the gaps could not be filled, and of which kinds there was too little: where there is no
  /// more of these, it cannot be filled either.
  struct Failures {
    private struct Failure {
      let scarce: BitSet
      /// Of those, what was used up.
      let used: [(kind: Int32, count: Int32)]
    }

    private var known: [Memory: BitSet] = [:]
    /// Of each gap the newest, in turn.
    private var newest: [[Failure]]
    private var turn = 0
    private var size = 0
    private let kinds: Int

    /// Of each gap.
    private static let most = 16
    /// Of both, in bytes.
    private static let limit = 100_000_000

    init(gaps: Int, kinds: Int) {
      newest = [[Failure]](repeating: [], count: gaps + 1)
      self.kinds = kinds
    }

    var hasRoom: Bool { size < Self.limit }

    /// The scarce kinds, if from here the gaps from this one on cannot be filled.
    func reason(_ gap: Int, _ used: [Int], _ memory: Memory) -> BitSet? {
      if let scarce = known[Self.mixed(gap, memory)] { return scarce }
      return newest[gap].last { $0.used.allSatisfy { used[Int($0.kind)] >= Int($0.count) } }?.scarce
    }

    mutating func add(_ gap: Int, _ used: [Int], _ memory: Memory, _ scarce: BitSet) {
      known[Self.mixed(gap, memory)] = scarce
      let failure = Failure(
        scarce: scarce, used: scarce.members.filter { used[$0] > 0 }.map { (Int32($0), Int32(used[$0])) })
      turn += 1
      if newest[gap].count < Self.most {
        newest[gap].append(failure)
      } else {
        size -= 8 * newest[gap][turn % Self.most].used.count
        newest[gap][turn % Self.most] = failure
      }
      size += 100 + kinds / 8 + 8 * failure.used.count
    }

    private static func mixed(_ gap: Int, _ memory: Memory) -> Memory {
      var mixed = UInt64(gap)
      let first = Generator64.next(&mixed)
      return Memory(low: memory.low ^ first, high: memory.high ^ Generator64.next(&mixed))
    }
  }
}
