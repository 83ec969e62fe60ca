@testable import LockstepReflection

/// The messages of `rich.proto` and `old.proto`, which the unit tests use too: every type that a field can have.
enum RichTypes {
  private static let names =
    ["Scalars", "Lists", "Maps", "Node", "Choices", "Known", "GetReply"].map { "rich.v1." + $0 } + ["old.v1.Record"]

  static let pool: DescriptorPool = {
    do throws(ReflectionError) { return try DescriptorPool(fileDescriptorSet: richDescriptorSet) } catch {
      violated("an honest set is refused: \(error)")
    }
  }()

  static let all = names.compactMap { try? pool.message(named: $0) }
  static let positions = names.compactMap { pool.graph.message(named: $0) }

  /// Honest messages: the place of the type in the list, and the JSON.
  static let examples: [(type: UInt8, json: String)] = [
    (
      0,
      #"{"doubleValue":1.5,"floatValue":-0,"int32Value":-2147483648,"int64Value":"-9223372036854775808","#
        + #""uint32Value":4294967295,"uint64Value":"18446744073709551615","sint64Value":1e3,"fixed32Value":7,"#
        + #""boolValue":true,"stringValue":"h\u00e9 \ud83e\udd37","bytesValue":"AP8B","color":"COLOR_BELOW","far":1}"#
    ),
    (0, #"{"doubleValue":"NaN","floatValue":"-Infinity","color":99,"sfixed64_value":-1,"sfixed32Value":null}"#),
    (
      1,
      #"{"doubles":[1,-2.5e-3],"floats":[0.1],"int32s":[1,2,3],"bools":[true,false],"strings":["","a"],"#
        + #""blobs":["","AA=="],"colors":["COLOR_RED",-7],"nodes":[{},{"name":"x"}],"unpacked":[1,300]}"#
    ),
    (
      2,
      #"{"counts":{"a":"1","":"0"},"names":{"-1":"x"},"nodes":{"true":{"name":"n"},"false":{}},"#
        + #""colors":{"7":"COLOR_RED"},"blobs":{"0":"AA"}}"#
    ),
    (3, #"{"name":"a","next":{"next":{"name":"b"}},"children":[{},{"children":[{}]}]}"#),
    (4, #"{"inner":{"mode":"MODE_FAST"},"maybeNumber":0,"maybeText":"","otherName":"r","alias":"ALIAS_UNO"}"#),
    (4, #"{"blob":"","mode":1}"#),
    (
      5,
      #"{"at":"2024-02-29T23:59:59.123456789+01:30","span":"-1.5s","mask":"a.bC,d","record":{"a":[null,true],"b":{}},"#
        + #""value":null,"list":[1,"x"],"empty":{},"wrappedBool":false,"wrappedInt64":"1","wrappedString":"","#
        + #""wrappedDouble":"NaN","wrappedBytes":"AA==","wrappedUint32":7,"nothing":null,"times":["1970-01-01T00:00:00Z"]}"#
    ),
    (6, "{\n \"found\": true,\t\"value\": \"v\",\r\"revision\": \"2\"\n}"),
    (7, #"{"name":"","count":0,"label":"l","blob":"","loose":[1],"packed":[1,2],"kind":"KIND_ONE"}"#),
  ]
}

/// Of the shared file of descriptor sets.
func bytesOfBase64(_ text: String) -> [UInt8] {
  Base64.decode(text.filter { !$0.isWhitespace }) ?? []
}

/// What holds of every message of a type.
enum JSONChecks {
  /// Each of them shows the same message in another way.
  static let options = [JSONOptions(), JSONOptions(includesDefaults: false, usesProtoNames: true)]

  /// Bytes that were read or written once: shown as JSON and read again they are the same, for ever.
  static func roundTrip(_ type: MessageType, _ bytes: [UInt8]) {
    for options in options {
      let shown = whole("\(type.fullName) that was whole") { () throws(ReflectionError) in
        try type.decode(bytes, options: options)
      }
      check(text: shown)
      let written = whole("\(type.fullName) as it was shown") { () throws(ReflectionError) in try type.encode(shown) }
      let again = whole("\(type.fullName) as it was written") { () throws(ReflectionError) in
        try type.decode(written, options: options)
      }
      demand(again.text() == shown.text(), "\(shown.text()) came back as \(again.text())")
      let rewritten = whole("\(type.fullName) as it was shown again") { () throws(ReflectionError) in
        try type.encode(again)
      }
      demand(rewritten == written, "\(shown.text()) has two forms in bytes")
    }
  }

  /// A value that was printed is read as it was.
  static func check(text value: JSONValue) {
    for style in [JSONValue.Style.compact, .pretty] {
      let text = value.text(style)
      do throws(JSONSyntaxError) {
        let again = try JSONValue(parsing: text)
        demand(again == value && again.text(style) == text, "\(text) came back as \(again.text(style))")
      } catch { violated("\(text), which was printed, is refused: \(error)") }
    }
  }

  private static func whole<Result>(_ what: String, _ body: () throws(ReflectionError) -> Result) -> Result {
    do throws(ReflectionError) { return try body() } catch { violated("\(what) is refused: \(error)") }
  }
}
