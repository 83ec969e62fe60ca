import LockstepExecution
import LockstepServices
import SwiftProtobuf
import Testing

/// Services that are wrong in one way each. Their schema is made here: Set is a command, Look a query.
private protocol Wrong: ReplicatedService {}

extension Wrong {
  init(restoring snapshot: inout SnapshotReader) throws(CallStatus) { self.init() }
  func freeze() -> any Snapshot { JoinedSnapshot() }
  var digest: UInt64 { 0 }

  static var schema: Schema { schemaOfTest() }

  static func set(
    _ state: inout Self, _ request: Google_Protobuf_StringValue, _ context: inout ApplyContext
  ) throws(CallStatus) -> Google_Protobuf_BoolValue { Google_Protobuf_BoolValue() }

  static func look(
    _ state: borrowing Self, _ request: Google_Protobuf_StringValue, _ context: QueryContext
  ) throws(CallStatus) -> Google_Protobuf_BoolValue { Google_Protobuf_BoolValue() }

  static func other(
    _ state: borrowing Self, _ request: Google_Protobuf_Empty, _ context: QueryContext
  ) throws(CallStatus) -> Google_Protobuf_BoolValue { Google_Protobuf_BoolValue() }
}

private func schemaOfTest(
  service: String = "Service", streaming: Bool = false, requestsStreaming: Bool = false, hasEffects: Bool = false,
  reply: String = ".google.protobuf.BoolValue"
) -> Schema {
  var file = Google_Protobuf_FileDescriptorProto()
  file.name = "test.proto"
  file.package = "test"
  file.service = [
    .with {
      $0.name = service
      $0.method = ["Set", "Look"].map { name in
        .with {
          $0.name = name
          $0.inputType = ".google.protobuf.StringValue"
          $0.outputType = reply
          guard name == "Look" else { return }
          if !hasEffects { $0.options.idempotencyLevel = .noSideEffects }
          $0.serverStreaming = streaming
          $0.clientStreaming = requestsStreaming
        }
      }
    }
  ]
  let set = Google_Protobuf_FileDescriptorSet.with { $0.file = [file] }
  let bytes: [UInt8]? = try? set.serializedBytes()
  return Schema(name: "test.Service", descriptorSet: bytes ?? [])
}

private struct Right: Wrong {
  static let methods = Methods<Right> {
    Command("Set", set)
    Query("Look", look)
  }
}

private struct Missing: Wrong {
  static let methods = Methods<Missing> { Command("Set", set) }
}

private struct MissingAll: Wrong {
  static let methods = Methods<MissingAll> {}
}

private struct Unknown: Wrong {
  static let methods = Methods<Unknown> {
    Command("Set", set)
    Query("Look", look)
    Query("Lok", look)
  }
}

private struct Twice: Wrong {
  static let methods = Methods<Twice> {
    Command("Set", set)
    Query("Look", look)
    Query("Look", look)
  }
}

private struct CommandForQuery: Wrong {
  static let methods = Methods<CommandForQuery> {
    Command("Set", set)
    Command("Look", set)
  }
}

private struct QueryForCommand: Wrong {
  static let methods = Methods<QueryForCommand> {
    Query("Set", look)
    Query("Look", look)
  }
}

private struct WrongRequest: Wrong {
  static let methods = Methods<WrongRequest> {
    Command("Set", set)
    Query("Look", other)
  }
}

private struct WrongReply: Wrong {
  static var schema: Schema { schemaOfTest(reply: ".test.Reply") }
  static let methods = Methods<WrongReply> {
    Command("Set", set)
    Query("Look", look)
  }
}

private struct Streaming: Wrong {
  static var schema: Schema { schemaOfTest(requestsStreaming: true) }
  static let methods = Methods<Streaming> {
    Command("Set", set)
    Query("Look", look)
  }
}

private typealias Watching<State: ReplicatedService> =
  Watch<State, Google_Protobuf_StringValue, Google_Protobuf_BoolValue>

private struct QueryForWatch: Wrong {
  static var schema: Schema { schemaOfTest(streaming: true) }
  static let methods = Methods<QueryForWatch> {
    Command("Set", set)
    Query("Look", look)
  }
}

private struct WatchForQuery: Wrong {
  static let methods = Methods<WatchForQuery> {
    Command("Set", set)
    Watching<WatchForQuery>("Look") { $1 }
  }
}

private struct WatchWithEffects: Wrong {
  static var schema: Schema { schemaOfTest(streaming: true, hasEffects: true) }
  static let methods = Methods<WatchWithEffects> {
    Command("Set", set)
    Watching<WatchWithEffects>("Look") { $1 }
  }
}

private struct RightWatch: Wrong {
  static var schema: Schema { schemaOfTest(streaming: true) }
  static let methods = Methods<RightWatch> {
    Command("Set", set)
    Watching<RightWatch>("Look") { $1 }
  }
}

private struct NotInSchema: Wrong {
  static var schema: Schema { schemaOfTest(service: "Sevrice") }
  static let methods = Methods<NotInSchema> { Command("Set", set) }
}

private struct Unreadable: Wrong {
  static var schema: Schema { Schema(name: "test.Service", descriptorSet: [0xff]) }
  static let methods = Methods<Unreadable> { Command("Set", set) }
}

@Suite("table of methods")
struct ServiceTableTests {
  private static let wrong: [([any ReplicatedService.Type], ServiceTableError, String)] = [
    ([], .noService, "there is no service to host"),
    ([Right.self, Right.self], .serviceTwice(service: "test.Service"), "test.Service is listed twice"),
    (
      [Missing.self], .missingMethods(service: "test.Service", methods: ["Look"]),
      "test.Service/Look is in the schema, but not in the table of methods"
    ),
    (
      [MissingAll.self], .missingMethods(service: "test.Service", methods: ["Set", "Look"]),
      "test.Service/Set, test.Service/Look are in the schema, but not in the table of methods"
    ),
    (
      [Unknown.self], .unknownMethod(service: "test.Service", method: "Lok"),
      "test.Service/Lok is in the table of methods, but not in the schema"
    ),
    (
      [Twice.self], .methodTwice(service: "test.Service", method: "Look"),
      "test.Service/Look is in the table of methods twice"
    ),
    (
      [CommandForQuery.self], .commandForQuery(service: "test.Service", method: "Look"),
      "test.Service/Look has idempotency_level = NO_SIDE_EFFECTS in the schema, but is a Command in the table"
    ),
    (
      [QueryForCommand.self], .queryForCommand(service: "test.Service", method: "Set"),
      "test.Service/Set is a Query in the table, but lacks idempotency_level = NO_SIDE_EFFECTS in the schema"
    ),
    (
      [WrongRequest.self],
      .wrongRequest(
        service: "test.Service", method: "Look", schema: "google.protobuf.StringValue",
        function: "google.protobuf.Empty"),
      "test.Service/Look takes a google.protobuf.StringValue in the schema, but its function takes a "
        + "google.protobuf.Empty"
    ),
    (
      [WrongReply.self],
      .wrongReply(
        service: "test.Service", method: "Set", schema: "test.Reply", function: "google.protobuf.BoolValue"),
      "test.Service/Set gives a test.Reply in the schema, but its function gives a google.protobuf.BoolValue"
    ),
    (
      [Streaming.self], .streamingMethod(service: "test.Service", method: "Look"),
      "test.Service/Look takes a stream of requests, and those are not served"
    ),
    (
      [QueryForWatch.self], .streamForOne(service: "test.Service", method: "Look"),
      "test.Service/Look returns a stream in the schema, but is no Watch in the table"
    ),
    (
      [WatchForQuery.self], .oneForStream(service: "test.Service", method: "Look"),
      "test.Service/Look is a Watch in the table, but returns no stream in the schema"
    ),
    (
      [WatchWithEffects.self], .watchWithEffects(service: "test.Service", method: "Look"),
      "test.Service/Look returns a stream in the schema, but lacks idempotency_level = NO_SIDE_EFFECTS"
    ),
    (
      [NotInSchema.self], .notInSchema(service: "test.Service"),
      "the schema of test.Service has no service of this name"
    ),
    (
      [Unreadable.self], .unreadableSchema(service: "test.Service"),
      "the schema of test.Service is not a serialized google.protobuf.FileDescriptorSet"
    ),
  ]

  @Test("a table that is not the schema's is refused, and what is wrong is named", arguments: wrong.indices)
  func wrongTables(place: Int) {
    let (services, error, text) = Self.wrong[place]
    #expect(throws: error) { try ServiceMachine(services: services) }
    #expect(error.description == text)
  }

  @Test("a table that is the schema's is taken")
  func right() throws {
    #expect(try ServiceMachine(services: [Right.self]).schemas == [Right.schema])
    #expect(try ServiceMachine(services: [RightWatch.self]).schemas == [RightWatch.schema])
  }
}
