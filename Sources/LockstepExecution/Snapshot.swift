/// A state that does not change any more, as bytes that are asked for piece by piece: on another thread, while the
/// machine that it was frozen from goes on.
///
/// It is a value that shares memory with the machine's (copy-on-write collections do), so that freezing takes the same
/// time whatever the size of the state. Who does not want the rest drops it: nothing has to be called.
public protocol Snapshot: Sendable {
  /// The next piece, of 1 to `maximumBytes` bytes (which is more than 0); nil after the last one. All pieces together
  /// are the same bytes, however they are cut; equal states of a machine in memory have equal bytes.
  mutating func next(maximumBytes: Int) throws(CallStatus) -> [UInt8]?
}

/// A snapshot that a function writes, a little at a time.
///
/// ```swift
/// func freeze() -> any Snapshot {
///   EncodedSnapshot(of: limits) { limits, buffer in
///     buffer.append(varint: limits.highest)
///     return false                                            // that was all
///   }
/// }
/// ```
public struct EncodedSnapshot<State: Sendable>: Snapshot {
  private var state: State
  private let encode: @Sendable (inout State, inout SnapshotBuffer) -> Bool
  private var buffer = SnapshotBuffer()
  private var isWritten = false

  /// A snapshot of `state`, whose bytes `encode` writes as they are asked for.
  ///
  /// - Parameters:
  ///   - state: what is frozen, with the place that `encode` has reached in it.
  ///   - encode: appends the next few bytes, and returns false when there are no more after these. What it appends at
  ///     once lies in memory at once.
  public init(of state: State, _ encode: @escaping @Sendable (inout State, inout SnapshotBuffer) -> Bool) {
    self.state = state
    self.encode = encode
  }

  public mutating func next(maximumBytes: Int) -> [UInt8]? {
    while !isWritten, buffer.count < maximumBytes { isWritten = !encode(&state, &buffer) }
    return buffer.take(maximumBytes)
  }
}

/// Snapshots one after the other: of a state that is held in more than one collection. Read in the same order.
public struct JoinedSnapshot: Snapshot {
  private var parts: ArraySlice<any Snapshot>

  /// A snapshot of all parts: the bytes of the first one, then those of the next.
  ///
  /// - Parameter parts: in the order in which their bytes follow each other.
  public init(_ parts: any Snapshot...) { self.parts = parts[...] }

  public mutating func next(maximumBytes: Int) throws(CallStatus) -> [UInt8]? {
    while !parts.isEmpty {
      if let piece = try parts[parts.startIndex].next(maximumBytes: maximumBytes) { return piece }
      // What has been read is let go at once: it may be all that keeps an old state in memory.
      parts.removeFirst()
    }
    return nil
  }
}
