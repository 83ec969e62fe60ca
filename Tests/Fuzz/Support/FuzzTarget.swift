/// One thing that is fed with bytes from anywhere, and what must hold of it whatever the bytes are.
struct FuzzTarget {
  let name: String
  /// What is fed and what is checked, for people.
  let about: String
  /// Bytes of the longest input that is tried.
  let maximumLength: Int
  /// How many bytes may be allocated at a time for an input of that length.
  let allowance: (_ length: Int) -> Int
  /// What is honest, and what the fuzzer begins with.
  let seeds: () -> [[UInt8]]
  /// True when the bytes were taken for something, false when they were refused. What does not hold ends the process,
  /// through `demand`.
  let run: (UnsafeRawBufferPointer) -> Bool

  init(
    _ name: String, about: String, maximumLength: Int, allowance: @escaping (_ length: Int) -> Int,
    seeds: @escaping () -> [[UInt8]], run: @escaping (UnsafeRawBufferPointer) -> Bool
  ) {
    self.name = name
    self.about = about
    self.maximumLength = maximumLength
    self.allowance = allowance
    self.seeds = seeds
    self.run = run
  }
}

/// Ends the process when something does not hold; the fuzzer keeps the input.
@inline(__always)
func demand(_ holds: Bool, _ what: @autoclosure () -> String) {
  if !holds { violated(what()) }
}

func violated(_ what: String) -> Never { fatalError("property violated: \(what)") }
