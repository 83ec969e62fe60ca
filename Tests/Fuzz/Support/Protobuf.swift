/// Writes protobuf by hand, for seeds: nothing of the code that is fuzzed is needed for what it is fed.
struct Protobuf {
  private(set) var bytes: [UInt8] = []

  init() {}

  static func varint(_ value: UInt64) -> [UInt8] {
    var (bytes, rest): ([UInt8], UInt64) = ([], value)
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  func integer(_ field: UInt64, _ value: UInt64) -> Protobuf {
    joined(Self.varint(field << 3) + Self.varint(value))
  }

  func fixed64(_ field: UInt64, _ value: UInt64) -> Protobuf {
    joined(Self.varint(field << 3 | 1) + (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) })
  }

  func fixed32(_ field: UInt64, _ value: UInt32) -> Protobuf {
    joined(Self.varint(field << 3 | 5) + (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) })
  }

  func bytes(_ field: UInt64, _ value: [UInt8]) -> Protobuf {
    joined(Self.varint(field << 3 | 2) + Self.varint(UInt64(value.count)) + value)
  }

  func text(_ field: UInt64, _ value: String) -> Protobuf { bytes(field, Array(value.utf8)) }

  func message(_ field: UInt64, _ value: Protobuf) -> Protobuf { bytes(field, value.bytes) }

  func joined(_ more: [UInt8]) -> Protobuf {
    var copy = self
    copy.bytes += more
    return copy
  }
}
