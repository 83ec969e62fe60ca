import LockstepReflection
import Testing

@Suite("pool")
struct PoolTests {
  private func refusal(_ set: [UInt8]) -> String? {
    errorText { _ = try DescriptorPool(fileDescriptorSet: set) }
  }

  /// The refusal of a file with these fields in its message p.M.
  private func refusal(_ fields: Wire..., more: Wire = Wire()) -> String? {
    refusal(Wire.file(Wire().message(4, Wire.message("M", fields, more: more))))
  }

  @Test("pool: services are sorted by name, their methods stand as in the file")
  func services() throws {
    let pool = try richPool()
    #expect(pool.services.map(\.name) == ["rich.v1.Archive", "rich.v1.Library"])
    #expect(pool.services[1].methods.map(\.name) == ["Put", "Get", "Watch", "Replace"])
    #expect(pool.services[1].methods.map(\.isQuery) == [false, true, true, false])
    #expect(pool.services[1].methods.map(\.serverStreaming) == [false, false, true, false])
    #expect(pool.services[1].methods.map(\.clientStreaming) == [false, false, false, true])
  }

  @Test("pool: a method is found by its gRPC name")
  func method() throws {
    let method = try richPool().method(named: "rich.v1.Library/Get")
    #expect(method.fullName == "rich.v1.Library/Get")
    #expect(method.serviceName == "rich.v1.Library" && method.name == "Get" && method.isQuery)
    #expect(method.input.fullName == "rich.v1.GetRequest" && method.output.fullName == "rich.v1.GetReply")
    #expect(try method.input.encode(["key": "k"]) == [0x0A, 1, 0x6B])
  }

  @Test(
    "pool: a wrong name is an error that says what there is",
    arguments: [
      (
        "rich.v1.Library/Put2",
        "service rich.v1.Library has no method 'Put2'; it has Put, Get, Watch, Replace; did you mean 'Put'?"
      ),
      (
        "rich.v1.Library/get",
        "service rich.v1.Library has no method 'get'; it has Put, Get, Watch, Replace; did you mean 'Get'?"
      ),
      (
        "rich.v1.Library/Xylophone",
        "service rich.v1.Library has no method 'Xylophone'; it has Put, Get, Watch, Replace"
      ),
      ("x/Put", "no service 'x'; this cluster offers rich.v1.Archive, rich.v1.Library"),
      (
        "Library/Put",
        "no service 'Library'; this cluster offers rich.v1.Archive, rich.v1.Library; did you mean 'rich.v1.Library'?"
      ),
      (
        "rich.v1.Libary/Put",
        "no service 'rich.v1.Libary'; this cluster offers rich.v1.Archive, rich.v1.Library; "
          + "did you mean 'rich.v1.Library'?"
      ),
      ("Put", "'Put' names no method; a method is named like 'package.Service/Method'"),
      ("a/b/c", "'a/b/c' names no method; a method is named like 'package.Service/Method'"),
      ("", "'' names no method; a method is named like 'package.Service/Method'"),
    ])
  func wrongName(name: String, expected: String) throws {
    let pool = try richPool()
    let error = #expect(throws: ReflectionError.self) { try pool.method(named: name) }
    #expect(error?.message == expected && error?.kind == .symbol)
  }

  @Test("pool: a message is found by its full name, or its near name is told")
  func message() throws {
    let pool = try richPool()
    #expect(try pool.message(named: "rich.v1.Choices.Inner").fullName == "rich.v1.Choices.Inner")
    let text = errorText { _ = try pool.message(named: "rich.v1.GetRequst") }
    #expect(text == "no message 'rich.v1.GetRequst'; did you mean 'rich.v1.GetRequest'?")
  }

  @Test("pool: an empty set offers nothing, and says so")
  func empty() throws {
    let pool = try DescriptorPool(fileDescriptorSet: [])
    #expect(pool.services.isEmpty)
    #expect(errorText { _ = try pool.method(named: "a.B/C") } == "no service 'a.B'; this cluster offers none")
  }

  @Test("pool: a set without its imports is refused with the name of the type that is missing")
  func missingImports() {
    #expect(
      refusal(bareDescriptorSet)
        == "the descriptor set has no message 'google.protobuf.Timestamp', the type of rich.v1.Known.at "
        + "(protoc includes imported files when told --include_imports)")
    let method = Wire().text(1, "Do").text(2, ".p.A").text(3, ".p.B")
    let service = Wire().text(1, "S").message(2, method)
    #expect(
      refusal(Wire.file(Wire().message(4, Wire.message("A")).message(6, service)))
        == "the descriptor set has no message 'p.B', which p.S/Do uses "
        + "(protoc includes imported files when told --include_imports)")
  }

  @Test("pool: sets are joined by joining their bytes; a file that differs from its twin is refused")
  func joined() throws {
    let pool = try DescriptorPool(fileDescriptorSet: richDescriptorSet + richDescriptorSet)
    #expect(pool.services.count == 2)
    let one = Wire.file(Wire().message(4, Wire.message("A")))
    let other = Wire.file(Wire().message(4, Wire.message("B")))
    #expect(refusal(one + other) == "file 'p.proto' is there twice, and not the same")
  }

  @Test("pool: names, numbers, labels and types out of the ordinary are refused")
  func badDeclarations() {
    #expect(refusal(Wire.file(Wire(), package: "a..b")) == "'a..b' is no package name")
    #expect(
      refusal(Wire.file(Wire(), syntax: "editions"))
        == "file 'p.proto' has syntax 'editions'; only proto2 and proto3 can be read")
    #expect(refusal(Wire.file(Wire().message(4, Wire.message("1M")))) == "'1M' is no name for a message in p")
    #expect(refusal(Wire.file(Wire().message(4, Wire.message("é")))) == "'é' is no name for a message in p")
    #expect(refusal(Wire.field("a\n", 1, 5)) == #"'a\u{a}' is no name for a field in p.M"#)
    #expect(refusal(Wire.field("a", 0, 5)) == "field p.M.a has the number 0, which is no field number")
    #expect(
      refusal(Wire.field("a", 536_870_912, 5)) == "field p.M.a has the number 536870912, which is no field number")
    #expect(refusal(Wire.field("a", .max, 5)) == "field p.M.a has the number -1, which is no field number")
    #expect(refusal(Wire.field("a", 1, 5, label: 9)) == "field p.M.a has the unknown label 9")
    #expect(refusal(Wire.field("a", 1, 99)) == "field p.M.a has the unknown type 99")
    #expect(refusal(Wire.field("a", 1, 10)) == "field p.M.a is a group, which is not supported")
    #expect(refusal(Wire.field("a", 1, 5), Wire.field("b", 1, 5)) == "p.M gives one number to two fields")
    #expect(refusal(Wire.field("a", 1, 5), Wire.field("a", 2, 5)) == "p.M gives one name to two fields")
    #expect(refusal(Wire.field("a", 1, 5, more: Wire().int(9, 0))) == "field p.M.a cannot be in oneof 0")
    #expect(
      refusal(Wire.field("a", 1, 5, more: Wire().text(7, "\u{1B}")))
        == "field p.M.a has a default value that is no int32")
    #expect(refusal(Wire.field("a", 1, 11, of: "M")) == "'M', the type of p.M.a, is no full type name")
    #expect(refusal(Wire.field("a", 1, 11)) == "'', the type of p.M.a, is no full type name")
    #expect(refusal(Wire.field("a", 1, 14, of: ".p.M"))?.hasPrefix("the descriptor set has no enum 'p.M'") == true)
    #expect(
      refusal(Wire.field("a", 1, 5, more: Wire().bytes(10, [0xFF])))
        == "the descriptor set has a 'json_name' that is not valid UTF-8")
    let long = String(repeating: "x", count: 600)
    #expect(refusal(Wire.field(long, 1, 5))?.hasSuffix("is longer than a name may be") == true)
  }

  @Test("pool: what is defined twice, or is no map entry though it says so, is refused")
  func badTypes() {
    let twice = Wire().message(4, Wire.message("M")).message(5, Wire().text(1, "M"))
    #expect(refusal(Wire.file(twice)) == "the descriptor set defines 'p.M' twice")
    let isMapEntry = Wire().message(7, Wire().int(7, 1))
    #expect(refusal(more: isMapEntry) == "p.M is marked as a map entry, but is not a key and a value")
    #expect(
      refusal(Wire.field("key", 1, 9, label: 3), Wire.field("value", 2, 9), more: isMapEntry)
        == "p.M is marked as a map entry, but is not a key and a value")
    #expect(
      refusal(Wire.field("key", 1, 12), Wire.field("value", 2, 9), more: isMapEntry)
        == "p.M has a key of type bytes, which no map has")
    let method = Wire().text(1, "Do").text(2, ".p.M").text(3, ".p.M")
    let service = Wire().text(1, "S").message(2, method).message(2, method)
    #expect(refusal(Wire.file(Wire().message(6, service))) == "service p.S has two methods named 'Do'")
  }

  @Test("pool: a message that only has the name of a well-known type is a message like any other")
  func falseFriends() throws {
    for name in ["Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue", "Any", "BoolValue", "NullValue"]
    {
      let file = Wire().message(4, Wire.message(name, [Wire.field("seconds", 1, 9), Wire.field("nanos", 2, 9)]))
      let pool = try DescriptorPool(fileDescriptorSet: Wire.file(file, package: "google.protobuf"))
      let type = try pool.message(named: "google.protobuf." + name)
      #expect(try type.decode(Wire().text(1, "x").bytes).text() == #"{"seconds":"x","nanos":""}"#)
    }
  }

  @Test("pool: a JSON name is made of the field's name where the set has none")
  func jsonNames() throws {
    let fields = [Wire.field("_some_long__name_1", 1, 5), Wire.field("plain", 2, 5, more: Wire().text(10, "é x"))]
    let pool = try DescriptorPool(fileDescriptorSet: Wire.file(Wire().message(4, Wire.message("M", fields))))
    #expect(try pool.message(named: "p.M").decode([]).text() == #"{"SomeLongName1":0,"é x":0}"#)
  }

  @Test("pool: two fields that go by one name in JSON are refused, whether that name is made, given or in the file")
  func sharedJSONNames() {
    func named(_ name: String) -> Wire { Wire().text(10, name) }
    #expect(
      refusal(Wire.field("a_b", 1, 5), Wire.field("aB", 2, 5))
        == "p.M has two fields that are 'aB' in JSON: aB, a_b")
    #expect(
      refusal(Wire.field("a", 1, 5, more: named("x")), Wire.field("b", 2, 5, more: named("x")))
        == "p.M has two fields that are 'x' in JSON: a, b")
    #expect(
      refusal(Wire.field("a", 1, 5, more: named("b")), Wire.field("b", 2, 5, more: named("c")))
        == "p.M has two fields that are 'b' in JSON: b, a")
  }

  @Test("pool: a method keeps its types alive when the pool is gone")
  func lifetime() throws {
    var method: MethodDescriptor? = try richPool().method(named: "rich.v1.Library/Get")
    let input = method?.input
    method = nil
    #expect(try input?.encode(["key": "k"]) == [0x0A, 1, 0x6B])
  }
}
