import LockstepReflection
import Testing

/// Bytes that no honest peer sends. Each of these must end in an error or a value, quickly, and in bounded memory.
@Suite("hostile bytes")
struct HostileTests {
  private func refusal(_ type: String, _ bytes: [UInt8]) throws -> String? {
    let type = try richType(type)
    return errorText { _ = try type.decode(bytes) }
  }

  @Test("hostile: every cut of a message is an error or a shorter message", arguments: encodedExamples)
  func truncated(example: EncodedExample) throws {
    let type = try richPool().message(named: example.type)
    for end in example.bytes.indices {
      if let json = try? type.decode(Array(example.bytes[..<end])) { _ = try type.encode(json) }
    }
  }

  @Test("hostile: every flipped bit of a message is an error or another message", arguments: encodedExamples)
  func flipped(example: EncodedExample) throws {
    let pool = try richPool()
    let type = try pool.message(named: example.type)
    for position in example.bytes.indices {
      for bit in 0..<8 {
        var damaged = example.bytes
        damaged[position] ^= 1 << bit
        // What decodes must be a value that encodes and decodes to itself.
        guard let json = try? type.decode(damaged) else { continue }
        #expect(try type.decode(type.encode(json)) == json)
      }
    }
  }

  @Test("hostile: every message read as every other type")
  func confusedTypes() throws {
    let pool = try richPool()
    for name in ["Scalars", "Lists", "Maps", "Node", "Choices", "Known", "GetRequest", "GetReply"] {
      let type = try pool.message(named: "rich.v1." + name)
      for example in encodedExamples { _ = try? type.decode(example.bytes) }
      _ = try? type.decode(richDescriptorSet)
    }
  }

  /// Some of everything that a descriptor set can say, in few bytes.
  private static let smallSet: [UInt8] = {
    let entry = Wire.message(
      "CountsEntry", [Wire.field("key", 1, 9), Wire.field("value", 2, 3)], more: Wire().message(7, Wire().int(7, 1)))
    let fields = [
      Wire.field("name", 1, 9), Wire.field("next", 2, 11, of: ".p.M"),
      Wire.field("counts", 3, 11, label: 3, of: ".p.M.CountsEntry"),
      Wire.field("a", 4, 14, of: ".p.E", more: Wire().int(9, 0)),
      Wire.field("b", 5, 12, more: Wire().int(9, 0)), Wire.field("list", 6, 5, label: 3),
      Wire.field("maybe", 7, 1, more: Wire().int(9, 1).int(17, 1)),
    ]
    let oneofs = Wire().message(8, Wire().text(1, "o")).message(8, Wire().text(1, "_maybe"))
    let enumeration = Wire().text(1, "E").message(2, Wire().text(1, "Z")).message(2, Wire().text(1, "Y").int(2, 1))
    let method = Wire().text(1, "Do").text(2, ".p.M").text(3, ".p.M").message(4, Wire().adding([0x90, 2, 1])).int(6, 1)
    return Wire.file(
      Wire().message(4, Wire.message("M", fields, more: oneofs.message(3, entry))).message(5, enumeration)
        .message(6, Wire().text(1, "S").message(2, method)))
  }()

  /// A message of that set: every field, twice nested.
  private static let smallMessage: [UInt8] = {
    let content = Wire().text(1, "n").message(3, Wire().text(1, "k").int(2, 1)).int(4, 1).bytes(5, [1]).bytes(
      6, [1, 2])
    return content.message(2, content).bytes
  }()

  private func use(_ set: [UInt8]) {
    guard let pool = try? DescriptorPool(fileDescriptorSet: set) else { return }
    _ = ProtoText.describe(pool)
    guard let method = try? pool.method(named: "p.S/Do") else { return }
    if let json = try? method.input.decode(Self.smallMessage) { _ = try? method.output.encode(json) }
  }

  @Test("hostile: a descriptor set cut at every byte")
  func truncatedSet() {
    for end in Self.smallSet.indices { use(Array(Self.smallSet[..<end])) }
    for end in stride(from: 0, to: richDescriptorSet.count, by: 29) { use(Array(richDescriptorSet[..<end])) }
  }

  @Test("hostile: a descriptor set with any bit flipped; what is accepted can be used")
  func flippedSet() throws {
    let whole = try DescriptorPool(fileDescriptorSet: Self.smallSet).method(named: "p.S/Do")
    #expect(whole.isQuery && whole.serverStreaming)
    #expect(try whole.input.decode(Self.smallMessage)["next"]?["counts"]?["k"]?.int == 1)
    for position in Self.smallSet.indices {
      for bit in 0..<8 {
        var damaged = Self.smallSet
        damaged[position] ^= 1 << UInt8(bit)
        use(damaged)
      }
    }
    for position in stride(from: 0, to: richDescriptorSet.count, by: 29) {
      var damaged = richDescriptorSet
      damaged[position] ^= 1 << UInt8(position % 8)
      use(damaged)
    }
  }

  @Test(
    "hostile: an error says what is wrong, and at which byte",
    arguments: [
      ([0x80], "at byte 0, a number is cut short"),
      (Array(repeating: 0xFF, count: 11), "at byte 0, a number has more than ten bytes"),
      ([0x00], "at byte 0, 0 is no field number"),
      ([0x0A, 1, 0x61, 0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0], "at byte 3, 8589934591 is no field number"),
      ([0x0B], "at byte 0, field 1 has wire type 3, which is not supported"),
      ([0x0A, 2, 0x61], "at byte 1, field 1 needs 2 bytes, but 1 are left"),
      ([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], "at byte 1, field 1 needs 4294967295 bytes, but 0 are left"),
      (
        [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        "at byte 1, field 1 claims a length of 18446744073709551615"
      ),
      ([0x11, 0, 0], "at byte 1, field 2 needs 8 bytes, but 2 are left"),
      ([0x08, 1], "at byte 0, field 'key' of rich.v1.GetRequest has wire type 0, which does not fit its type"),
    ])
  func messages(bytes: [UInt8], expected: String) throws {
    #expect(try refusal("GetRequest", bytes) == "these bytes are no rich.v1.GetRequest: " + expected)
  }

  @Test("hostile: packed lists whose values do not fit their run")
  func packed() throws {
    #expect(try refusal("Lists", [0x1A, 1, 0x80])?.contains("a number is cut short") == true)
    #expect(
      try refusal("Lists", [0x0A, 9] + Array(repeating: 0, count: 9))?.contains("needs 8 bytes, but 1 are left") == true
    )
    #expect(try refusal("Lists", [0x32, 1, 2])?.contains("holds a bool that is neither 0 nor 1") == true)
    #expect(try refusal("Lists", [0x32, 2, 0x80, 0x00])?.contains("holds a bool that is neither 0 nor 1") == true)
  }

  @Test("hostile: a singular submessage that comes twice is refused, in a oneof too, before it costs quadratic time")
  func duplicateSubmessages() throws {
    let once = Wire().message(2, Wire().text(1, "x")).bytes
    #expect(
      try refusal("Node", once + once)
        == "these bytes are no rich.v1.Node: at byte 5, field 'next' of rich.v1.Node comes twice, but is not repeated")
    let inner = Wire().message(3, Wire()).int(2, 1).message(3, Wire()).bytes
    #expect(try refusal("Choices", inner)?.contains("field 'inner' of rich.v1.Choices comes twice") == true)
    let many = Array(repeatElement([0x12, 0] as [UInt8], count: 2_000_000).joined())
    #expect(try refusal("Node", many)?.contains("comes twice") == true)
  }

  @Test("hostile: nesting as deep as the bytes allow is refused at the limit")
  func deepNesting() throws {
    var bytes: [UInt8] = []
    // Built from the inside; each message holds the one before.
    for _ in 0..<20_000 { bytes = [0x12] + Wire.varint(UInt64(bytes.count)) + bytes }
    #expect(try refusal("Node", bytes)?.contains("messages are nested more than 64 deep") == true)

    var set: [UInt8] = Wire.message("M").bytes
    for _ in 0..<1000 { set = Wire.message("M").adding(Wire().bytes(3, set).bytes).bytes }
    let text = errorText { _ = try DescriptorPool(fileDescriptorSet: Wire.file(Wire().bytes(4, set))) }
    #expect(text?.contains("messages are nested more than 64 deep") == true)
  }

  @Test("hostile: megabytes of unknown fields, of empty messages or of defaults are refused in bounded memory")
  func bombs() throws {
    let limit = "the message needs more than the"
    let unknown = Array(repeatElement([0xA0, 0x06, 0] as [UInt8], count: 1_000_000).joined())
    #expect(try refusal("GetRequest", unknown)?.contains(limit) == true)
    let empties = Array(repeatElement([0x52, 0] as [UInt8], count: 1_000_000).joined())
    #expect(try refusal("Lists", empties)?.contains(limit) == true)
    let entries = Array(repeatElement([0x1A, 0] as [UInt8], count: 20_000).joined())
    #expect(try richType("Maps").decode(entries)["nodes"]?.object?.count == 1)
    let long = [UInt8](repeating: 0, count: 17 << 20)
    #expect(
      try refusal("GetRequest", long) == "this rich.v1.GetRequest has 17825792 bytes, more than the 16777216 allowed")
    let text = errorText { _ = try DescriptorPool(fileDescriptorSet: [UInt8](repeating: 0, count: 5 << 20)) }
    #expect(text == "the descriptor set has 5242880 bytes, more than the 4194304 allowed")
  }

  @Test("hostile: an honest message of megabytes is read")
  func largeMessage() throws {
    let type = try richType("Lists")
    let texts = JSONValue.array((0..<50_000).map { .string("value number \($0)") })
    let json: JSONValue = ["strings": texts, "int32s": .array((0..<50_000).map { JSONValue($0) })]
    #expect(try type.decode(type.encode(json), options: JSONOptions(includesDefaults: false))["strings"] == texts)
    let big = JSONValue.string(String(repeating: "x", count: 8 << 20))
    let request = try richType("GetRequest")
    #expect(try request.decode(request.encode(["key": big]))["key"] == big)
    let tooBig: JSONValue = ["key": .string(String(repeating: "x", count: 16 << 20))]
    #expect(
      errorText { _ = try request.encode(tooBig) }
        == "this rich.v1.GetRequest takes 16777221 bytes, more than the 16777216 allowed")
  }

  @Test("hostile: a schema of many members in one oneof does not multiply the cost of empty messages")
  func wideOneof() throws {
    let members = (1...2000).map { Wire.field("m\($0)", UInt64($0), 5, more: Wire().int(9, 0)) }
    let wide = Wire.message("Wide", members, more: Wire().message(8, Wire().text(1, "o")))
    let many = Wire.message("Many", [Wire.field("wide", 1, 11, label: 3, of: ".p.Wide")])
    let pool = try DescriptorPool(fileDescriptorSet: Wire.file(Wire().message(4, wide).message(4, many)))
    let bytes = Array(repeatElement([0x0A, 0] as [UInt8], count: 1_000_000).joined())
    let text = errorText { _ = try pool.message(named: "p.Many").decode(bytes) }
    #expect(text?.contains("the message needs more than the") == true)
    #expect(ProtoText.describe(pool).contains("    int32 m2000 = 2000;"))
  }

  @Test("hostile: fields by the thousand that are shown at their defaults count against the message's length")
  func defaultsBomb() throws {
    let fields = (1...400).map { Wire.field("f\($0)", UInt64($0), 8) }
    let wide = Wire.message("Wide", fields)
    let many = Wire.message("Many", [Wire.field("wide", 1, 11, label: 3, of: ".p.Wide")])
    let pool = try DescriptorPool(fileDescriptorSet: Wire.file(Wire().message(4, wide).message(4, many)))
    // The long unknown field pays for the memory, but not for the values.
    let empties = Array(repeatElement([0x0A, 0] as [UInt8], count: 1100).joined())
    let bytes = Wire().bytes(99, [UInt8](repeating: 0, count: 150_000)).adding(empties).bytes
    let type = try pool.message(named: "p.Many")
    let text = errorText { _ = try type.decode(bytes) }
    #expect(text?.contains("the message becomes more JSON values than are allowed for its length") == true)
    #expect(try type.decode(bytes, options: JSONOptions(includesDefaults: false))["wide"]?.array?.count == 1100)
  }

  @Test("hostile: a schema of more declarations than allowed is refused")
  func declarations() {
    let messages = Array(repeatElement(Wire().message(4, Wire()).bytes, count: 100).joined())
    let values = (0..<200_001).reduce(into: [UInt8]()) { $0 += Wire().message(2, Wire().text(1, "A\($1)")).bytes }
    let enumeration = Wire().text(1, "E").adding(values)
    let text = errorText { _ = try DescriptorPool(fileDescriptorSet: Wire.file(Wire().message(5, enumeration))) }
    #expect(text == "the descriptor set declares more than 200000 things")
    let unnamed = errorText { _ = try DescriptorPool(fileDescriptorSet: Wire.file(Wire().adding(messages))) }
    #expect(unnamed == "'' is no name for a message in p")
  }
}
