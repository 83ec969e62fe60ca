import Testing

@testable import LockstepWire

@Suite("Integers")
struct VarintTests {
  /// Around every power of two, where encodings change their length.
  private static var edges: [UInt64] {
    (0..<64).flatMap { bit -> [UInt64] in
      let power = UInt64(1) << UInt64(bit)
      return [power &- 1, power, power &+ 1]
    } + [.max, .max - 1]
  }

  @Test("varint: every edge is written in the size that is said, and read back")
  func roundTrip() throws {
    for value in Self.edges {
      let bytes = varint(value)
      #expect(bytes.count == Varint.size(value))
      try reading(bytes) { (bytes) throws(WireError) in
        var cursor = WireCursor(bytes)
        let read = try cursor.varint()
        #expect(read == value && cursor.isAtEnd)
      }
      #expect(IndependentReader([8] + bytes)?.number(1) == value)
    }
  }

  @Test("varint: cut anywhere, or longer than ten bytes, or more than 64 bits, it is refused with its place")
  func refused() {
    for value in Self.edges {
      let bytes = varint(value)
      for count in 0..<bytes.count {
        #expect(throws: WireError.self) { try read(Array(bytes[..<count])) }
      }
    }
    let nines = [UInt8](repeating: 0xff, count: 9)
    #expect((try? read(nines + [1])) == .max)
    for last in 2...255 as ClosedRange<UInt8> { #expect(throws: WireError.self) { try read(nines + [last]) } }
    #expect(throws: WireError.self) { try read([UInt8](repeating: 0x80, count: 10) + [1]) }
    #expect((try? read([0x80, 0x80, 0])) == 0, "a longer form of a small number is legal protobuf")
  }

  private func read(_ bytes: [UInt8]) throws(WireError) -> UInt64 {
    try reading(bytes) { (bytes) throws(WireError) in
      var cursor = WireCursor(bytes)
      return try cursor.varint()
    }
  }

  @Test("varint: all one- and two-byte inputs do what the independent reader does")
  func exhaustive() {
    for first in 0...255 as ClosedRange<UInt8> {
      for second in 0...255 as ClosedRange<UInt8> {
        let bytes = [first, second]
        let read = try? read(bytes)
        let expected: UInt64? =
          first < 128 ? UInt64(first) : second < 128 ? UInt64(first & 127) | UInt64(second) << 7 : nil
        if read != expected { Issue.record("\(bytes): \(String(describing: read))") }
      }
    }
  }

  @Test("cursor: lengths, fixed numbers and skips stay inside of the bytes, with any number")
  func cursor() {
    for count in 0..<12 {
      let bytes = [UInt8](repeating: 5, count: count)
      _ = try? reading(bytes) { (bytes) throws(WireError) in
        var cursor = WireCursor(bytes)
        #expect(((try? cursor.fixed64()) != nil) == (count >= 8))
        for skip in [Int.max, -1, .min, count + 1] { #expect((try? cursor.skip(skip)) == nil) }
        for type in [3, 4, 6, 7, UInt64.max] { #expect((try? cursor.skipValue(wireType: type)) == nil) }
        #expect(cursor.position <= count)
      }
      _ = try? reading(bytes) { (bytes) throws(WireError) in
        var cursor = WireCursor(bytes)
        let range = try? cursor.delimited()
        #expect((range != nil) == (count >= 6))
        #expect(range == nil || range == 1..<6)
      }
    }
  }
}
