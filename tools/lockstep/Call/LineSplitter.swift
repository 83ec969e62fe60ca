/// Cuts a stream of bytes into lines, as it arrives.
struct LineSplitter {
  enum Line: Equatable {
    case text([UInt8])
    /// Longer than the limit; its bytes were dropped.
    case tooLong
  }

  private let limit: Int
  private var partial: [UInt8] = []
  private var isDropping = false

  /// `limit`: bytes of the longest line that is kept.
  init(limit: Int) { self.limit = limit }

  /// Hands each line that ends in these bytes to `emit`, without its newline; the rest waits for more.
  mutating func append(_ bytes: UnsafeRawBufferPointer, _ emit: (Line) -> Void) {
    var rest = bytes[...]
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      keep(rest[..<end])
      emit(take())
      rest = rest[(end + 1)...]
    }
    keep(rest)
  }

  /// The input has ended: what is left is a line too.
  mutating func finish(_ emit: (Line) -> Void) {
    if isDropping || !partial.isEmpty { emit(take()) }
  }

  private mutating func keep(_ bytes: Slice<UnsafeRawBufferPointer>) {
    guard !isDropping else { return }
    guard partial.count + bytes.count <= limit else {
      partial = []
      isDropping = true
      return
    }
    partial.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes))
  }

  private mutating func take() -> Line {
    defer {
      partial = []
      isDropping = false
    }
    return isDropping ? .tooLong : .text(partial)
  }
}
