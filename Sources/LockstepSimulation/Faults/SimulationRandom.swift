import LockstepConsensus

/// The only source of chance in a simulation. A stream of its own for each part, so that a draw more in one place does
/// not change what happens in all others.
public struct SimulationRandom: RandomNumberGenerator, Sendable {
  private var generator: Generator

  /// The numbers of this seed: the same for the same seed.
  public init(seed: UInt64) { generator = Generator(seed: seed) }

  /// An independent stream for the part with this name.
  public func stream(_ name: StaticString) -> SimulationRandom {
    var copy = self
    var hash = copy.next()
    name.withUTF8Buffer { for byte in $0 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 } }
    return SimulationRandom(seed: hash)
  }

  /// The next 64 random bits of this stream.
  public mutating func next() -> UInt64 { generator.next() }

  /// A number in `0..<bound`.
  public mutating func below(_ bound: Int) -> Int { generator.below(bound) }

  /// A number in the range.
  public mutating func within(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + below(range.upperBound - range.lowerBound + 1)
  }

  /// True in one of `count` cases; never when it is 0.
  public mutating func oneIn(_ count: Int) -> Bool { count > 0 && below(count) == 0 }

  /// Some element; nil when there are none, and then nothing is drawn.
  public mutating func element<Elements: RandomAccessCollection>(of elements: Elements) -> Elements.Element? {
    guard !elements.isEmpty else { return nil }
    return elements[elements.index(elements.startIndex, offsetBy: below(elements.count))]
  }
}
