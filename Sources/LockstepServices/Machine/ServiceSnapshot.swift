import LockstepExecution

// The snapshot of a machine that hosts services, numbers as varints:
//
//     2 (the version of this format)
//     number of services
//     for each, in the order of their names:  length of the name, the name, the version of the service
//     for each, in the same order:
//         for each piece of its state:  the piece's length, more than 0; the piece
//         0
//
// The length of a service's state is not known before it is written, and it is not gathered in memory to find out: hence
// the pieces.

/// One service of a machine, frozen.
struct ServicePart: Sendable {
  let name: String
  let version: UInt32
  var state: any Snapshot
}

struct ServiceSnapshot: Snapshot {
  private static let format: UInt64 = 2

  /// Those whose state is not written whole.
  private var parts: ArraySlice<ServicePart>
  private var buffer = SnapshotBuffer()

  init(_ parts: [ServicePart]) {
    self.parts = parts[...]
    buffer.append(varint: Self.format)
    buffer.append(varint: UInt64(parts.count))
    for part in parts {
      buffer.append(text: part.name)
      buffer.append(varint: UInt64(part.version))
    }
  }

  /// How the state is cut must not depend on what is asked for, since the lengths of its pieces are part of the bytes.
  private static let pieceBytes = 64 * 1024

  mutating func next(maximumBytes: Int) throws(CallStatus) -> [UInt8]? {
    while buffer.count < maximumBytes, !parts.isEmpty {
      if let piece = try parts[parts.startIndex].state.next(maximumBytes: Self.pieceBytes) {
        buffer.append(varint: UInt64(piece.count))
        buffer.append(piece)
      } else {
        buffer.append(varint: 0)
        parts.removeFirst()
      }
    }
    return buffer.take(maximumBytes)
  }

  /// Names and versions of the services whose states follow.
  static func contents(_ snapshot: inout SnapshotReader) throws(CallStatus) -> [(name: String, version: UInt32)] {
    let format = try snapshot.varint()
    guard format == Self.format else {
      throw CallStatus(
        .failedPrecondition,
        "the snapshot of the services has format \(format), and this node reads \(Self.format)")
    }
    var contents: [(name: String, version: UInt32)] = []
    for _ in 0..<(try snapshot.varint()) {
      let name = try snapshot.text()
      guard let version = UInt32(exactly: try snapshot.varint()), version > 0 else {
        throw snapshot.damage("the version of a service is not a number from 1 to 4294967295")
      }
      contents.append((name, version))
    }
    return contents
  }
}

/// The pieces of one service's state, out of the snapshot that they lie in; an object, so that the rest of that one can
/// be taken from it again.
final class ServicePartSource {
  private(set) var snapshot: SnapshotReader
  /// Bytes of the piece that are not read yet.
  private var left: UInt64 = 0
  private var hasEnded = false

  init(_ snapshot: SnapshotReader) { self.snapshot = snapshot }

  func next() throws(CallStatus) -> ArraySlice<UInt8>? {
    guard !hasEnded else { return nil }
    if left == 0 { left = try snapshot.varint() }
    guard left > 0 else {
      hasEnded = true
      return nil
    }
    let bytes = try snapshot.some(atMost: left)
    left -= UInt64(bytes.count)
    return bytes
  }
}
