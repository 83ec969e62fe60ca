import LockstepReflection
import Testing

@Suite("messages")
struct EncodingTests {
  @Test("encode: the bytes are those of protoc", arguments: encodedExamples)
  func encode(example: EncodedExample) throws {
    let type = try richPool().message(named: example.type)
    #expect(try type.encode(JSONValue(parsing: example.json)) == example.bytes)
  }

  @Test("decode: the bytes of protoc give the canonical JSON", arguments: encodedExamples)
  func decode(example: EncodedExample) throws {
    let type = try richPool().message(named: example.type)
    let json = try type.decode(example.bytes, options: JSONOptions(includesDefaults: false))
    #expect(try json == JSONValue(parsing: example.json))
  }

  @Test("decode: with defaults shown, the JSON gives the same bytes again", arguments: encodedExamples)
  func roundTrip(example: EncodedExample) throws {
    let type = try richPool().message(named: example.type)
    var json = try type.decode(example.bytes)
    #expect(try type.encode(json) == example.bytes)
    json = try type.decode(example.bytes, options: JSONOptions(usesProtoNames: true))
    #expect(try type.encode(json) == example.bytes)
  }

  @Test("decode: defaults are shown for fields without presence, and absent fields with presence are not")
  func defaults() throws {
    #expect(try richType("GetReply").decode([]).text() == #"{"found":false,"value":"","revision":"0"}"#)
    #expect(try richType("GetReply").decode([], options: JSONOptions(includesDefaults: false)).text() == "{}")
    let choices = try richType("Choices").decode([])
    #expect(choices.text() == #"{"mode":"MODE_NONE","otherName":"","alias":"ALIAS_NONE"}"#)
    #expect(try richType("Maps").decode([])["counts"]?.text() == "{}")
    #expect(try richType("Lists").decode([])["nodes"]?.text() == "[]")
  }

  @Test("decode: names as in the .proto file, when asked for")
  func protoNames() throws {
    let options = JSONOptions(includesDefaults: false, usesProtoNames: true)
    #expect(try richType("Scalars").decode([0x18, 0x05], options: options).text() == #"{"int32_value":5}"#)
  }

  @Test(
    "encode: what proto3 JSON lets a writer choose",
    arguments: [
      ("Scalars", #"{"int32_value":5}"#, #"{"int32Value":5}"#),
      ("Scalars", #"{"int32Value":"5"}"#, #"{"int32Value":5}"#),
      ("Scalars", #"{"int32Value":5.0,"int64Value":1e3}"#, #"{"int32Value":5,"int64Value":"1000"}"#),
      ("Scalars", #"{"int64Value":9007199254740993}"#, #"{"int64Value":"9007199254740993"}"#),
      ("Scalars", #"{"doubleValue":"1.5","floatValue":"NaN"}"#, #"{"doubleValue":1.5,"floatValue":"NaN"}"#),
      ("Scalars", #"{"bytesValue":"-_8"}"#, #"{"bytesValue":"+/8="}"#),
      ("Scalars", #"{"bytesValue":"+/8"}"#, #"{"bytesValue":"+/8="}"#),
      ("Scalars", #"{"color":1}"#, #"{"color":"COLOR_RED"}"#),
      ("Scalars", #"{"color":null,"int32Value":null,"stringValue":null}"#, "{}"),
      ("Choices", #"{"renamed":"r","alias":"ALIAS_UNO"}"#, #"{"otherName":"r","alias":"ALIAS_ONE"}"#),
      ("Choices", #"{"text":null,"number":0}"#, #"{"number":0}"#),
      ("Lists", #"{"int32s":[],"nodes":null}"#, "{}"),
      ("Maps", #"{"names":{"2":"b","-1":"a","10":"c"}}"#, #"{"names":{"-1":"a","2":"b","10":"c"}}"#),
      ("Known", #"{"wrappedBool":null,"at":null}"#, "{}"),
      ("Known", #"{"at":"2024-02-29T23:30:00.5+01:30"}"#, #"{"at":"2024-02-29T22:00:00.500Z"}"#),
      ("Known", #"{"at":"1969-12-31T23:59:59.999999999Z"}"#, #"{"at":"1969-12-31T23:59:59.999999999Z"}"#),
      ("Known", #"{"span":"3s"}"#, #"{"span":"3s"}"#),
      ("Known", #"{"span":"-0.000001s"}"#, #"{"span":"-0.000001s"}"#),
      ("Known", #"{"span":"315576000000s"}"#, #"{"span":"315576000000s"}"#),
      ("Known", #"{"mask":""}"#, #"{"mask":""}"#),
      ("Known", #"{"nothing":null}"#, "{}"),
      ("Known", #"{"nothing":5}"#, "{}"),
      ("Known", #"{"value":1.5,"list":[null]}"#, #"{"value":1.5,"list":[null]}"#),
      ("Known", #"{"value":"NaN"}"#, #"{"value":"NaN"}"#),
    ])
  func accepted(type: String, given: String, canonical: String) throws {
    let type = try richType(type)
    let bytes = try type.encode(JSONValue(parsing: given))
    #expect(try type.decode(bytes, options: JSONOptions(includesDefaults: false)).text() == canonical)
  }

  @Test("encode: base64 of every length, and every byte")
  func base64() throws {
    let type = try richType("Scalars")
    for length in 0..<260 {
      let content = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37) }
      let bytes = length == 0 ? [] : Wire().bytes(15, content).bytes
      let json = try type.decode(bytes)
      #expect(json["bytesValue"]?.string.map(bytesOfBase64) == content)
      #expect(try type.encode(json) == bytes)
    }
  }

  @Test("encode: every day from year 1 to 9999 comes back as the same day")
  func everyDay() throws {
    let type = try richType("Known")
    // 4001 is prime, so that the days sampled fall on every day of the month and every kind of year.
    for seconds in stride(from: Int64(-62_135_596_800), through: 253_402_300_799, by: 86_400 * 401 + 4001) {
      let bytes = Wire().message(1, Wire().int(1, UInt64(bitPattern: seconds))).bytes
      #expect(try type.encode(type.decode(bytes)) == (seconds == 0 ? [0x0A, 0] : bytes))
    }
  }

  @Test("encode: a NUL in a string is kept, both ways")
  func embeddedNUL() throws {
    let type = try richType("GetRequest")
    let bytes = try type.encode(["key": "a\0b"])
    #expect(bytes == [0x0A, 3, 0x61, 0, 0x62])
    #expect(try type.decode(bytes)["key"]?.string == "a\0b")
  }

  @Test("decode: of a oneof's members on the wire the last one counts, whatever their sizes")
  func oneofOnTheWire() throws {
    let type = try richType("Choices")
    let options = JSONOptions(includesDefaults: false)
    let members = [
      Wire().text(1, "t"), Wire().int(2, 7), Wire().message(3, Wire().int(1, 1)), Wire().int(4, 1),
      Wire().bytes(5, [1]),
    ]
    for first in members {
      for second in members where first.bytes != second.bytes {
        let bytes = Wire().int(6, 42).adding(first.bytes + second.bytes).text(7, "kept").bytes
        let json = try type.decode(bytes, options: options)
        #expect(json.object?.count == 3 && json["maybeNumber"]?.int == 42 && json["maybeText"]?.string == "kept")
        #expect(try type.decode(second.bytes, options: options).object?[0] == json.object?[0])
      }
    }
  }

  @Test("decode: unknown fields are passed over, and packed and unpacked lists are both read")
  func tolerance() throws {
    #expect(try richType("GetRequest").decode(Wire().int(99, 1).text(1, "k").text(98, "x").bytes)["key"] == "k")
    let lists = try richType("Lists").decode(Wire().int(3, 1).int(3, 2).bytes(11, [3, 4]).int(11, 5).bytes)
    #expect(lists["int32s"]?.text() == "[1,2]" && lists["unpacked"]?.text() == "[3,4,5]")
  }

  @Test("decode: map entries without key or value, and a key given twice")
  func mapEntries() throws {
    let entry = { (wire: Wire) in Wire().message(1, wire) }
    let bytes = entry(Wire().text(1, "a").int(2, 1)).bytes + entry(Wire()).bytes + entry(Wire().text(1, "a")).bytes
    #expect(try richType("Maps").decode(bytes)["counts"]?.text() == #"{"":"0","a":"0"}"#)
    let node = try richType("Maps").decode(Wire().message(3, Wire().int(1, 1)).bytes)
    #expect(node["nodes"]?.text() == #"{"true":{"name":"","children":[]}}"#)
  }

  @Test("proto2: required fields, presence, and lists that are packed only when the file says so")
  func proto2() throws {
    let type = try richPool().message(named: "old.v1.Record")
    let json = try JSONValue(parsing: #"{"name":"","count":0,"loose":[1,2],"packed":[1,2],"kind":"KIND_ONE"}"#)
    let bytes = try type.encode(json)
    #expect(bytes == [0x0A, 0, 0x10, 0, 0x28, 1, 0x28, 2, 0x32, 2, 1, 2, 0x38, 1])
    #expect(try type.decode(bytes).text() == json.text())
    #expect(
      errorText { _ = try type.encode([:]) } == "field 'name' of old.v1.Record: the field is required, but missing")
    #expect(
      errorText { _ = try type.decode([]) } == "field 'name' of old.v1.Record: the field is required, but missing")
  }
}
