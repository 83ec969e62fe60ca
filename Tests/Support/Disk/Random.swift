/// SplitMix64: the same numbers from the same seed.
package final class Random {
  private var state: UInt64
  package init(_ seed: UInt64) { state = seed }

  package func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  package func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
  package func chance(_ outOf: Int) -> Bool { below(outOf) == 0 }
  package func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}
