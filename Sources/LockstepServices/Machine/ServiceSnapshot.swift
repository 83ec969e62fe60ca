import LockstepExecution

// The snapshot of a machine that hosts services, numbers as varints:
//
//     1 (the version of this format)
//     for each service, in the order of their names:
//         length of the name, the name
//         for each piece that the service writes:  its length, more than 0; the piece
//         0
//
// The length of a service's part is not known before it is written, and it is not gathered in memory to find out: hence
// the pieces.

enum ServiceSnapshot {
  private static let version: UInt64 = 1

  static func begin(_ write: ([UInt8]) -> Void) { number(version, write) }

  /// One service's name and pieces.
  static func part(_ name: String, of host: any HostedService, _ write: ([UInt8]) -> Void) {
    number(UInt64(name.utf8.count), write)
    write(Array(name.utf8))
    host.snapshot { piece in
      // An empty piece is none: its length would end the service's part.
      guard !piece.isEmpty else { return }
      number(UInt64(piece.count), write)
      write(piece)
    }
    number(0, write)
  }

  private static func number(_ number: UInt64, _ write: ([UInt8]) -> Void) {
    var bytes: [UInt8] = []
    bytes.appendVarint(number)
    write(bytes)
  }

  /// Each service's name and its pieces, put together.
  static func parts(of snapshot: [UInt8]) throws(Status) -> [(name: String, bytes: [UInt8])] {
    try snapshot.borrow { bytes throws(Status) in
      var reader = ByteReader(bytes, "the snapshot of the services")
      let version = try reader.varint()
      guard version == Self.version else {
        throw Status(
          .failedPrecondition,
          "the snapshot of the services has version \(version), and this node reads \(Self.version)")
      }
      var parts: [(name: String, bytes: [UInt8])] = []
      while !reader.isAtEnd {
        let name = try reader.text()
        var bytes: [UInt8] = []
        while case let length = try reader.varint(), length > 0 { bytes.append(contentsOf: try reader.take(length)) }
        parts.append((name, bytes))
      }
      return parts
    }
  }
}
