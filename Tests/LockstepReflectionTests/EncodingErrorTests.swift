import LockstepReflection
import Testing

@Suite("messages: errors")
struct EncodingErrorTests {
  @Test(
    "encode: an error names the field, the type, what was expected and what was found",
    arguments: [
      ("GetRequest", #"{"key":5}"#, "field 'key' of rich.v1.GetRequest: expected a string, found number 5"),
      ("GetRequest", "[]", "rich.v1.GetRequest: expected an object, found an array"),
      ("GetRequest", #""x""#, "rich.v1.GetRequest: expected an object, found string \"x\""),
      (
        "GetRequest", #"{"kye":"a"}"#,
        "field 'kye' of rich.v1.GetRequest: rich.v1.GetRequest has no such field; it has key; did you mean 'key'?"
      ),
      (
        "Known", #"{"empty":{"x":1}}"#,
        "field 'empty.x' of rich.v1.Known: google.protobuf.Empty has no such field; it has none"
      ),
      (
        "Scalars", #"{"int32Value":1,"int32_value":1}"#,
        "field 'int32_value' of rich.v1.Scalars: the field is given twice, the other time as 'int32Value'"
      ),
      (
        "Scalars", #"{"int32Value":"x"}"#,
        "field 'int32Value' of rich.v1.Scalars: expected an int32, found string \"x\""
      ),
      ("Scalars", #"{"int32Value":1.5}"#, "field 'int32Value' of rich.v1.Scalars: expected an int32, found number 1.5"),
      ("Scalars", #"{"int32Value":""}"#, "field 'int32Value' of rich.v1.Scalars: expected an int32, found string \"\""),
      (
        "Scalars", #"{"int32Value":" 1"}"#,
        "field 'int32Value' of rich.v1.Scalars: expected an int32, found string \" 1\""
      ),
      (
        "Scalars", #"{"int32Value":2147483648}"#,
        "field 'int32Value' of rich.v1.Scalars: 2147483648 is out of range for int32"
      ),
      ("Scalars", #"{"uint32Value":-1}"#, "field 'uint32Value' of rich.v1.Scalars: -1 is out of range for uint32"),
      (
        "Scalars", #"{"int64Value":"9223372036854775808"}"#,
        "field 'int64Value' of rich.v1.Scalars: 9223372036854775808 is out of range for int64"
      ),
      (
        "Scalars", #"{"fixed64Value":1e20}"#,
        "field 'fixed64Value' of rich.v1.Scalars: 1e20 is out of range for fixed64"
      ),
      ("Scalars", #"{"sint64Value":true}"#, "field 'sint64Value' of rich.v1.Scalars: expected a sint64, found true"),
      (
        "Scalars", #"{"boolValue":"true"}"#,
        "field 'boolValue' of rich.v1.Scalars: expected a bool, found string \"true\""
      ),
      ("Scalars", #"{"boolValue":0}"#, "field 'boolValue' of rich.v1.Scalars: expected a bool, found number 0"),
      (
        "Scalars", #"{"doubleValue":1e400}"#, "field 'doubleValue' of rich.v1.Scalars: 1e400 is out of range for double"
      ),
      ("Scalars", #"{"floatValue":1e39}"#, "field 'floatValue' of rich.v1.Scalars: 1e39 is out of range for float"),
      (
        "Scalars", #"{"doubleValue":"0x10"}"#,
        "field 'doubleValue' of rich.v1.Scalars: expected a double, found string \"0x10\""
      ),
      (
        "Scalars", #"{"doubleValue":"inf"}"#,
        "field 'doubleValue' of rich.v1.Scalars: expected a double, found string \"inf\""
      ),
      ("Scalars", #"{"doubleValue":{}}"#, "field 'doubleValue' of rich.v1.Scalars: expected a double, found an object"),
      (
        "Scalars", #"{"bytesValue":"a"}"#,
        "field 'bytesValue' of rich.v1.Scalars: expected bytes as a base64 string, found string \"a\""
      ),
      (
        "Scalars", #"{"bytesValue":"a=bc"}"#,
        "field 'bytesValue' of rich.v1.Scalars: expected bytes as a base64 string, found string \"a=bc\""
      ),
      (
        "Scalars", #"{"bytesValue":1}"#,
        "field 'bytesValue' of rich.v1.Scalars: expected bytes as a base64 string, found number 1"
      ),
      (
        "Scalars", #"{"color":"COLOR_REDD"}"#,
        "field 'color' of rich.v1.Scalars: enum rich.v1.Color has no value 'COLOR_REDD'; it has COLOR_UNSPECIFIED, "
          + "COLOR_RED, COLOR_BELOW; did you mean 'COLOR_RED'?"
      ),
      (
        "Scalars", #"{"color":true}"#,
        "field 'color' of rich.v1.Scalars: expected the name or number of a value of enum rich.v1.Color, found true"
      ),
      ("Scalars", #"{"color":3000000000}"#, "field 'color' of rich.v1.Scalars: 3000000000 is out of range for enum"),
      ("Lists", #"{"nodes":{}}"#, "field 'nodes' of rich.v1.Lists: expected an array, found an object"),
      ("Lists", #"{"int32s":[1,null]}"#, "field 'int32s[1]' of rich.v1.Lists: expected an int32, found null"),
      (
        "Lists", #"{"nodes":[{},{"children":[{"name":1}]}]}"#,
        "field 'nodes[1].children[0].name' of rich.v1.Lists: expected a string, found number 1"
      ),
      ("Maps", #"{"counts":[]}"#, "field 'counts' of rich.v1.Maps: expected an object, found an array"),
      ("Maps", #"{"names":{"x":"a"}}"#, "field 'names[\"x\"]' of rich.v1.Maps: expected an int32, found string \"x\""),
      (
        "Maps", #"{"nodes":{"yes":{}}}"#,
        "field 'nodes[\"yes\"]' of rich.v1.Maps: a key of this map is \"true\" or \"false\""
      ),
      ("Maps", #"{"colors":{"-1":0}}"#, "field 'colors[\"-1\"]' of rich.v1.Maps: -1 is out of range for uint64"),
      ("Maps", #"{"nodes":{"true":null}}"#, "field 'nodes[\"true\"]' of rich.v1.Maps: expected an object, found null"),
      ("Maps", #"{"counts":{"a":[]}}"#, "field 'counts[\"a\"]' of rich.v1.Maps: expected an int64, found an array"),
      (
        "Choices", #"{"text":"a","number":1}"#,
        "field 'number' of rich.v1.Choices: oneof 'choice' can hold one of its members only, and 'text' is given too"
      ),
    ])
  func encode(type: String, json: String, expected: String) throws {
    let type = try richType(type)
    let error = #expect(throws: ReflectionError.self) { try type.encode(JSONValue(parsing: json)) }
    #expect(error?.message == expected)
    #expect(error?.kind == .json)
  }

  @Test(
    "encode: well-known types refuse what is not in their form",
    arguments: [
      ("at", #""2024-02-30T00:00:00Z""#), ("at", #""2023-02-29T00:00:00Z""#), ("at", #""2024-01-01""#),
      ("at", #""2024-01-01T24:00:00Z""#), ("at", #""2024-01-01T00:60:00Z""#), ("at", #""2024-01-01T00:00:60Z""#),
      ("at", #""2024-01-01T00:00:00""#), ("at", #""2024-01-01T00:00:00.Z""#),
      ("at", #""2024-01-01T00:00:00.1234567890Z""#), ("at", #""0000-12-31T00:00:00Z""#),
      ("at", #""0001-01-01T00:00:00+00:01""#), ("at", #""9999-12-31T23:59:59-00:01""#),
      ("at", #""2024-13-01T00:00:00Z""#), ("at", #""2024-00-01T00:00:00Z""#), ("at", #""2024-01-00T00:00:00Z""#),
      ("at", #""2024-01-01t00:00:00Z""#), ("at", #""2024-01-01T00:00:00Zx""#), ("at", "5"), ("at", "{}"),
      ("span", #""1""#), ("span", #""s""#), ("span", #""1.s""#), ("span", #"".5s""#), ("span", #""+1s""#),
      ("span", #""315576000001s""#), ("span", #""315576000000.1s""#), ("span", #""99999999999999999999s""#),
      ("span", #""1.1234567890s""#), ("span", "1"), ("mask", #""a_b""#), ("mask", #""a,,b""#), ("mask", #""a b""#),
      ("mask", #"["a"]"#), ("record", "[]"), ("list", "{}"), ("wrappedBool", "{}"), ("wrappedInt64", "true"),
      ("wrappedUint32", "-1"), ("any", "{}"), ("any", #"{"@type":"x"}"#),
    ])
  func wellKnown(field: String, json: String) throws {
    let type = try richType("Known")
    let text = errorText { _ = try type.encode(.object([.init(key: field, value: JSONValue(parsing: json))])) }
    #expect(text?.hasPrefix("field '\(field)' of rich.v1.Known: ") == true)
    if field == "any" { #expect(text?.contains("google.protobuf.Any cannot be given as JSON") == true) }
    if field == "at" { #expect(text?.contains("expected a timestamp like") == true) }
  }

  @Test("decode: values of well-known types that have no JSON form are refused, with their place")
  func wellKnownBytes() throws {
    let type = try richType("Known")
    let cases: [(Wire, String)] = [
      (
        Wire().message(1, Wire().int(1, 253_402_300_800)),
        "'at' of rich.v1.Known: 253402300800 s and 0 ns is no timestamp"
      ),
      (
        Wire().message(1, Wire().int(1, 1 << 63)),
        "'at' of rich.v1.Known: -9223372036854775808 s and 0 ns is no timestamp"
      ),
      (Wire().message(1, Wire().int(2, 1_000_000_000)), "'at' of rich.v1.Known: 0 s and 1000000000 ns is no timestamp"),
      (
        Wire().message(16, Wire()).message(16, Wire().int(2, .max)),
        "'times[1]' of rich.v1.Known: 0 s and -1 ns is no timestamp"
      ),
      (Wire().message(2, Wire().int(1, 1).int(2, .max)), "'span' of rich.v1.Known: 1 s and -1 ns is no duration"),
      (Wire().message(2, Wire().int(2, 0x8000_0000)), "'span' of rich.v1.Known: 0 s and -2147483648 ns is no duration"),
      (Wire().message(3, Wire().text(1, "Ab")), "'mask' of rich.v1.Known: a path of the field mask has no JSON form"),
      (Wire().message(3, Wire().text(1, "a,b")), "'mask' of rich.v1.Known: a path of the field mask has no JSON form"),
      (
        Wire().message(5, Wire().adding([0x11, 0, 0, 0, 0, 0, 0, 0xF0, 0x7F])),
        "'value' of rich.v1.Known: NaN and the infinities cannot be a google.protobuf.Value"
      ),
      (
        Wire().message(8, Wire()),
        "'any' of rich.v1.Known: google.protobuf.Any cannot be shown as JSON: its content is of no type known here"
      ),
      (Wire().message(11, Wire().bytes(1, [0xFF])), "'wrappedString' of rich.v1.Known: the string is not valid UTF-8"),
    ]
    for (wire, expected) in cases { #expect(errorText { _ = try type.decode(wire.bytes) } == "field " + expected) }
    #expect(try type.decode(Wire().message(5, Wire()).bytes)["value"] == JSONValue.null)
  }

  @Test("decode: strings and keys that are not UTF-8 are refused")
  func invalidUTF8() throws {
    let request = try richType("GetRequest")
    let text = errorText { _ = try request.decode([0x0A, 1, 0xFF]) }
    #expect(text == "field 'key' of rich.v1.GetRequest: the string is not valid UTF-8")
    let maps = try richType("Maps")
    let key = errorText { _ = try maps.decode(Wire().message(1, Wire().bytes(1, [0xC0, 0x80])).bytes) }
    #expect(key == "field 'counts[0]' of rich.v1.Maps: the string is not valid UTF-8")
  }

  @Test("encode: what an error repeats stays on one line and is cut short")
  func hostileText() throws {
    let type = try richType("GetRequest")
    let text = errorText { _ = try type.encode(.object([.init(key: "a\n\u{1B}[2J\u{202E}", value: 1)])) }
    #expect(text?.hasPrefix(#"field 'a\u{a}\u{1b}[2J\u{202e}' of rich.v1.GetRequest: "#) == true)
    let long = errorText {
      _ = try type.encode(.object([.init(key: String(repeating: "k", count: 1_000_000), value: 1)]))
    }
    #expect((long?.utf8.count ?? 0) < 3000)
    let scalars = try richType("Scalars")
    let found = errorText {
      _ = try scalars.encode(["int32Value": .string(String(repeating: "9", count: 1_000_000))])
    }
    #expect(
      found == "field 'int32Value' of rich.v1.Scalars: "
        + String(repeating: "9", count: 40) + "… is out of range for int32")
  }

  @Test("encode: 64 messages deep is the limit, in both directions and through maps and values")
  func depth() throws {
    let type = try richType("Node")
    func nested(_ depth: Int) -> JSONValue { depth == 1 ? [:] : ["next": nested(depth - 1)] }
    let bytes = try type.encode(nested(64))
    #expect(try type.decode(bytes, options: JSONOptions(includesDefaults: false)) == nested(64))
    let text = errorText { _ = try type.encode(nested(65)) }
    #expect(text?.hasSuffix("of rich.v1.Node: messages are nested more than 64 deep") == true)
    let deeper = Wire().message(2, Wire().adding(bytes)).bytes
    #expect(errorText { _ = try type.decode(deeper) }?.contains("messages are nested more than 64 deep") == true)

    // In lists every message takes two levels of JSON, and what is shown can still be read.
    func lists(_ depth: Int) -> JSONValue { depth == 1 ? [:] : ["children": [lists(depth - 1)]] }
    let shown = try type.decode(type.encode(lists(64)), options: JSONOptions(includesDefaults: false))
    #expect(shown == lists(64))
    #expect(try JSONValue(parsing: shown.text()) == shown)

    let known = try richType("Known")
    func list(_ depth: Int) -> JSONValue { depth == 1 ? [] : [list(depth - 1)] }
    func object(_ depth: Int) -> JSONValue { depth == 1 ? [:] : ["a": object(depth - 1)] }
    for json in [["value": list(31)], ["value": object(21)]] as [JSONValue] {
      #expect(try known.decode(known.encode(json), options: JSONOptions(includesDefaults: false)) == json)
    }
    for json in [["value": list(40)], ["value": object(30)], ["list": list(40)]] as [JSONValue] {
      #expect(errorText { _ = try known.encode(json) }?.contains("nested more than 64 deep") == true)
    }
  }
}
