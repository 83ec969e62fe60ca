import LockstepConsensus
import LockstepWire

/// Lays records out by hand, as the drawing of the format has them, and with the right checksums.
enum RecordForge {
  struct Header {
    var kind: UInt8
    var sequence: UInt64
    var offset: UInt64
    var link: UInt64
    var extent: UInt64 = 0
  }

  static func record(_ header: Header, body: [UInt8], salt: UInt64) -> [UInt8] {
    var bytes = Array("LKR1".utf8) + [UInt8](repeating: header.kind, count: 4)
    bytes += little(header.sequence) + little(header.offset) + little(UInt64(body.count)) + little(0)
    bytes += little(header.link) + little(header.extent) + little(0) + body
    bytes += [UInt8](repeating: 0, count: (64 - body.count % 64) % 64)
    seal(&bytes, at: 0, salt: salt)
    return bytes
  }

  /// The checksums of the record that stands at `place`: of the body, if all of it is there, and of the header.
  static func seal(_ bytes: inout [UInt8], at place: Int, salt: UInt64) {
    let length = (0..<4).reduce(0) { $0 | Int(bytes[place + 24 + $1]) << (8 * $1) }
    let end = place + 64 + (length + 63) & ~63
    if length > 0, end <= bytes.count {
      bytes.replaceSubrange(
        place + 32..<place + 40, with: little(Checksum.of(Array(bytes[place + 64..<end]), seed: salt)))
    }
    bytes.replaceSubrange(
      place + 56..<place + 64, with: little(Checksum.of(Array(bytes[place..<place + 56]), seed: salt)))
  }

  /// The checksum of a record's header: the link of the next.
  static func checksum(_ record: [UInt8]) -> UInt64 {
    record[56..<64].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  private static func little(_ value: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
  }
}
