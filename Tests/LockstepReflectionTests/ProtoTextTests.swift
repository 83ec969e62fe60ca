import LockstepReflection
import Testing

@Suite("describe")
struct ProtoTextTests {
  @Test("describe: the whole pool is the .proto files again")
  func wholePool() throws {
    #expect(try ProtoText.describe(richPool()) == oldProto + "\n\n" + richProto + "\n")
  }

  @Test("describe: a service")
  func service() throws {
    #expect(
      try ProtoText.describe(richPool(), symbol: "rich.v1.Archive") == """
        // rich.proto
        syntax = "proto3";
        package rich.v1;

        service Archive {
          rpc Store(Known) returns (GetReply);
        }

        """)
  }

  @Test("describe: a method, with the messages that it takes and returns", arguments: ["/", "."])
  func method(separator: String) throws {
    #expect(
      try ProtoText.describe(richPool(), symbol: "rich.v1.Library\(separator)Get") == """
        // rich.proto
        syntax = "proto3";
        package rich.v1;

        service Library {
          rpc Get(GetRequest) returns (GetReply) { option idempotency_level = NO_SIDE_EFFECTS; }
        }

        message GetRequest {
          string key = 1;
        }

        message GetReply {
          bool found = 1;
          string value = 2;
          uint64 revision = 3;
        }

        """)
  }

  @Test("describe: nested messages and enums, by their full names")
  func nested() throws {
    let header = "// rich.proto\nsyntax = \"proto3\";\npackage rich.v1;\n\n"
    #expect(
      try ProtoText.describe(richPool(), symbol: ".rich.v1.Choices.Inner.Mode")
        == header + "enum Mode {\n  MODE_NONE = 0;\n  MODE_FAST = 1;\n}\n")
    #expect(
      try ProtoText.describe(richPool(), symbol: "rich.v1.Choices.Inner").hasSuffix("  }\n  Mode mode = 1;\n}\n"))
    #expect(
      try ProtoText.describe(richPool(), symbol: "google.protobuf.Duration")
        .hasSuffix("message Duration {\n  int64 seconds = 1;\n  int32 nanos = 2;\n}\n"))
  }

  @Test("describe: a type whose short name means another one is written with its full name")
  func shadowedNames() throws {
    let inner = Wire.message("M", [Wire.field("outer", 1, 11, of: ".p.M"), Wire.field("own", 2, 11, of: ".p.M.M")])
    let package = Wire.message("p", [Wire.field("outer", 1, 11, of: ".p.M")])
    let file = Wire().message(4, Wire.message("M", more: Wire().message(3, inner))).message(4, package)
    let pool = try DescriptorPool(fileDescriptorSet: Wire.file(file))
    #expect(
      ProtoText.describe(pool).hasSuffix(
        """
        message M {
          message M {
            .p.M outer = 1;
            M own = 2;
          }
        }

        message p {
          M outer = 1;
        }

        """))
  }

  @Test("describe: an unknown symbol is an error with a near name")
  func unknown() throws {
    let pool = try richPool()
    #expect(
      errorText { _ = try ProtoText.describe(pool, symbol: "rich.v1.Nodes") }
        == "no symbol 'rich.v1.Nodes'; this cluster offers rich.v1.Archive, rich.v1.Library; "
        + "did you mean 'rich.v1.Node'?"
    )
    #expect(
      errorText { _ = try ProtoText.describe(pool, symbol: "rich.v1.Library/Gte") }
        == "service rich.v1.Library has no method 'Gte'; it has Put, Get, Watch, Replace; did you mean 'Get'?")
  }

  @Test("describe: text from a hostile schema cannot break out of its line or its quotes")
  func hostileText() throws {
    let field = Wire.field("a", 1, 9, more: Wire().text(7, "\"\\\n\u{1B}").text(10, "\";\n}"))
    let content = Wire().text(3, "x\";\n").message(4, Wire.message("M", [field]))
    let set = Wire().message(1, Wire().text(1, "f\nmessage X {}").text(2, "p").adding(content.bytes)).bytes
    let text = try ProtoText.describe(DescriptorPool(fileDescriptorSet: set))
    #expect(
      text == #"""
        // f\u{a}message X {}
        syntax = "proto2";
        package p;

        import "x\";\012";

        message M {
          optional string a = 1 [default = "\"\\\012\033", json_name = "\";\012}"];
        }

        """#)
  }
}
