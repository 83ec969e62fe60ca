import LockstepExecution
import SwiftProtobuf
import Testing

@testable import LockstepServices

/// Messages go through our own decoder and encoder where they are plain: the library must not be able to tell.
@Suite("plain messages")
struct PlainMessageTests {
  static let texts = [
    "", "a", "a longer text, of more than fifteen bytes", "Grüße, 世界", "\0", String(repeating: "x", count: 5000),
  ]

  @Test("requests decode to what the library makes of them", arguments: texts)
  func decode(text: String) throws {
    let request = Lockstep_Kv_V1_CompareAndSetRequest.with {
      $0.key = text
      $0.expected = String(text.reversed())
      $0.value = text
    }
    let bytes: [UInt8] = try request.serializedBytes()
    #expect(
      try bytes.borrow { bytes throws(CallStatus) in try decoded(Lockstep_Kv_V1_CompareAndSetRequest.self, bytes) }
        == request)
    #expect(try stableBytes(of: request) == bytes)
  }

  @Test("an empty text that is there is told from one that is not")
  func presence() throws {
    let request = Lockstep_Kv_V1_CompareAndSetRequest.with { $0.expected = "" }
    let bytes: [UInt8] = try request.serializedBytes()
    let read = try bytes.borrow { bytes throws(CallStatus) in
      try decoded(Lockstep_Kv_V1_CompareAndSetRequest.self, bytes)
    }
    #expect(read.hasExpected)
    #expect(try stableBytes(of: request) == bytes)
  }

  @Test("numbers of all sizes", arguments: [0, 1, -1, 127, 128, 1 << 31, .max, .min])
  func numbers(number: Int64) throws {
    let request = Lockstep_Counter_V1_AddRequest.with { $0.delta = number }
    let bytes: [UInt8] = try request.serializedBytes()
    #expect(
      try bytes.borrow { bytes throws(CallStatus) in try decoded(Lockstep_Counter_V1_AddRequest.self, bytes) }
        == request)
    #expect(try stableBytes(of: request) == bytes)
  }

  @Test("whatever the bytes are, they decode as the library decodes them, or not at all")
  func anyBytes() throws {
    var generator = SeededGenerator(state: 7)
    var accepted = 0
    let whole: [UInt8] = try Lockstep_Kv_V1_CompareAndSetRequest.with {
      $0.key = "key"
      $0.expected = "expected"
      $0.value = "value"
    }.serializedBytes()
    for round in 0..<20_000 {
      var bytes = whole
      if round % 2 == 0 { bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator)) }
      for _ in 0..<Int.random(in: 0...3, using: &generator) where !bytes.isEmpty {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      let expected = try? Lockstep_Kv_V1_CompareAndSetRequest(serializedBytes: bytes)
      let found = try? bytes.borrow { bytes throws(CallStatus) in
        try decoded(Lockstep_Kv_V1_CompareAndSetRequest.self, bytes)
      }
      #expect(found == expected, "\(bytes)")
      if let expected {
        accepted += 1
        var options = BinaryEncodingOptions()
        options.useDeterministicOrdering = true
        #expect(try stableBytes(of: expected) == expected.serializedBytes(options: options))
      }
    }
    #expect(accepted > 1000, "most rounds were to be refused, and some taken")
    #expect(accepted < 19_000)
  }

  @Test("messages in messages, whatever the bytes are: as the library decodes them, or not at all")
  func nested() throws {
    var generator = SeededGenerator(state: 8)
    var accepted = 0
    // A list in a list: messages that are there once, in a choice, and any number of times.
    let whole: [UInt8] = try Google_Protobuf_ListValue(values: [
      Google_Protobuf_Value(stringValue: "text"), Google_Protobuf_Value(numberValue: 1.5),
      Google_Protobuf_Value(listValue: [Google_Protobuf_Value(boolValue: true), Google_Protobuf_Value(stringValue: "")]
      ),
    ]).serializedBytes()
    func check(_ bytes: [UInt8]) -> Bool {
      let expected = try? Google_Protobuf_ListValue(serializedBytes: bytes)
      let found = try? bytes.borrow { bytes throws(CallStatus) in try decoded(Google_Protobuf_ListValue.self, bytes) }
      // By their bytes: a number that is none is not equal to itself.
      let (one, other): ([UInt8]?, [UInt8]?) = (try? found?.serializedBytes(), try? expected?.serializedBytes())
      #expect(one == other && (found == nil) == (expected == nil), "\(bytes)")
      return expected != nil
    }
    for _ in 0..<20_000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 0...3, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      if check(bytes) { accepted += 1 }
    }
    #expect((1000..<19_000).contains(accepted))
    // Deeper than is plain, and than the library follows; and one choice that is there twice, which is merged.
    for depth in [1, 7, 8, 9, 40, 120] {
      var value = Google_Protobuf_Value(stringValue: "x")
      for _ in 0..<depth { value = Google_Protobuf_Value(listValue: [value]) }
      _ = check(try Google_Protobuf_ListValue(values: [value]).serializedBytes())
    }
    let list: [UInt8] = try Google_Protobuf_Value(listValue: ["a", "b"]).serializedBytes()
    #expect(check([0x0a, UInt8(2 * list.count)] + list + list))
  }

  @Test("a message with every kind of singular field, packed and nested ones: as the library has it")
  func descriptors() throws {
    // Descriptors have what requests may have and these services' do not: nested, repeated and proto2 fields.
    let set = try Google_Protobuf_FileDescriptorSet(serializedBytes: KeyValue.schema.descriptorSet)
    let bytes: [UInt8] = try set.serializedBytes()
    #expect(
      try bytes.borrow { bytes throws(CallStatus) in try decoded(Google_Protobuf_FileDescriptorSet.self, bytes) } == set
    )
    #expect(try stableBytes(of: set) == bytes)
    let plain = Google_Protobuf_DoubleValue(-1.5)
    #expect(try stableBytes(of: plain) == plain.serializedBytes())
    let bool = Google_Protobuf_BoolValue(true)
    #expect(try stableBytes(of: bool) == bool.serializedBytes())
    let data = try Google_Protobuf_BytesValue(serializedBytes: [0x0a, 3, 1, 2, 255] as [UInt8])
    let encoded: [UInt8] = try stableBytes(of: data)
    #expect(try encoded == data.serializedBytes())
    #expect(
      try encoded.borrow { bytes throws(CallStatus) in try decoded(Google_Protobuf_BytesValue.self, bytes) } == data)
  }
}

private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return StableHasher.mixed(state)
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` for a body that throws a CallStatus.
  fileprivate func borrow<Result>(
    _ body: (RawSpan) throws(CallStatus) -> Result
  ) throws(CallStatus) -> Result {
    try withUnsafeBytes { bytes -> Swift.Result<Result, CallStatus> in
      do throws(CallStatus) { return .success(try body(bytes.bytes)) } catch { return .failure(error) }
    }.get()
  }
}
