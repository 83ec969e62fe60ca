import LockstepExecution
import LockstepServices
import SwiftProtobuf
import Testing

@Suite("a service by itself")
struct TestMachineTests {
  private func add(_ delta: Int64) -> Lockstep_Counter_V1_AddRequest {
    .with {
      $0.name = "c"
      $0.delta = delta
    }
  }

  @Test("commands at indexes that grow, queries, failures that are recorded, and the state")
  func calls() throws {
    var machine = try TestMachine(Counter.self)
    #expect(try machine.call(Counter.add, add(41)).revision == 1)
    #expect(try machine.call(Counter.add, add(1)).revision == 2)
    let status = #expect(throws: CallStatus.self) { try machine.call(Counter.add, add(.max)) }
    #expect(status?.code == .outOfRange)
    #expect(try machine.call(Counter.get, .with { $0.name = "c" }).value == 42)
    #expect(try machine.state.digest != TestMachine(Counter.self).state.digest)
    // What has failed has an entry, too.
    #expect(try machine.call(Counter.add, add(0)).revision == 4)
  }

  @Test("written down and read again: the same state, from which it goes on; a snapshot that loses something is found")
  func restored() throws {
    var machine = try TestMachine(Counter.self)
    _ = try machine.call(Counter.add, add(42))
    var again = try machine.restored()
    #expect(again.digest == machine.digest)
    #expect(try again.call(Counter.add, add(1)).value == 43)
    var forgetful = try TestMachine(Forgetful.self)
    _ = try forgetful.call(Forgetful.set, .with { $0.value = "x" })
    let status = #expect(throws: CallStatus.self) { try forgetful.restored() }
    #expect(status?.code == .dataLoss)
  }

  @Test(
    "the time that a command knows is what the test says, and never goes back; a thrown error that is no CallStatus is told without its words"
  )
  func time() throws {
    var machine = try TestMachine(Forgetful.self)
    machine.time = 7
    #expect(try machine.call(Forgetful.set, .with { $0.value = "time" }).value == "7")
    machine.time = 3
    #expect(try machine.call(Forgetful.set, .with { $0.value = "time" }).value == "7")
    let status = #expect(throws: CallStatus.self) { try machine.call(Forgetful.set, .with { $0.value = "error" }) }
    #expect(status?.code == .unknown && status?.message.contains("secret") == false)
  }
}

/// Has a state that its snapshot lacks.
private struct Forgetful: ReplicatedService {
  struct Failure: Error, CustomStringConvertible { let description = "secret" }

  static let schema = schemaWithSet("test.Forgetful")
  static let set = Command<Forgetful, Google_Protobuf_StringValue, Google_Protobuf_StringValue>("Set") {
    try $0.set($1, $2)
  }
  static let methods = Methods<Forgetful> { set }

  private var text = ""

  mutating func set(_ request: Google_Protobuf_StringValue, _ context: ApplyContext) throws
    -> Google_Protobuf_StringValue
  {
    if request.value == "error" { throw Failure() }
    text = request.value
    return .with { $0.value = request.value == "time" ? "\(context.time)" : request.value }
  }

  init() {}
  init(restoring snapshot: inout SnapshotReader) throws(CallStatus) {}
  func freeze() -> any Snapshot { JoinedSnapshot() }
  var digest: UInt64 { UInt64(text.utf8.count) }
}

private func schemaWithSet(_ name: String) -> Schema {
  let file = Google_Protobuf_FileDescriptorProto.with {
    $0.name = "test.proto"
    $0.package = "test"
    $0.service = [
      .with {
        $0.name = "Forgetful"
        $0.method = [
          .with {
            $0.name = "Set"
            $0.inputType = ".google.protobuf.StringValue"
            $0.outputType = ".google.protobuf.StringValue"
          }
        ]
      }
    ]
  }
  let bytes: [UInt8]? = try? Google_Protobuf_FileDescriptorSet.with { $0.file = [file] }.serializedBytes()
  return Schema(name: name, descriptorSet: bytes ?? [])
}
