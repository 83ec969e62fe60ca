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

  @Test("in a session that is opened: commands know it, each is a call of its own; in none that was never opened")
  func session() throws {
    var machine = try TestMachine(Forgetful.self)
    #expect(try machine.call(Forgetful.set, .with { $0.value = "session" }).value == "none")
    let session = machine.openSession()
    for _ in 1...2 {
      #expect(try machine.call(Forgetful.set, .with { $0.value = "session" }).value == "\(session)")
    }
    machine.session = 77
    #expect(throws: CallStatus.self) { try machine.call(Forgetful.set, .with { $0.value = "session" }) }
    machine.session = nil
    #expect(try machine.call(Forgetful.set, .with { $0.value = "session" }).value == "none")
  }

  @Test(
    "what an earlier version has written down is read by the new one, which goes on from there; never the other way")
  func upgraded() throws {
    var earlier = try TestMachine(Notes.self)
    earlier.openSession()
    _ = try earlier.call(Notes.set, .with { $0.value = "old" })
    var machine = try TestMachine(CountedNotes.self, upgrading: earlier)
    #expect(machine.digest == earlier.digest)
    #expect(try machine.call(CountedNotes.set, .with { $0.value = "new" }).value == "2 notes, 1 counted")
    #expect(try machine.restored().digest == machine.digest)
    let status = #expect(throws: CallStatus.self) { try TestMachine(Notes.self, upgrading: machine) }
    #expect(status?.code == .failedPrecondition)
  }
}

private struct Notes: ReplicatedService {
  static let schema = schemaWithSet("test.Forgetful")
  static let set = Command<Notes, Google_Protobuf_StringValue, Google_Protobuf_StringValue>("Set") {
    notes, request, _ in
    notes.all[request.value] = 1
    return request
  }
  static let methods = Methods<Notes> { set }
  private var all = TextMap<Int64>()

  init() {}
  init(restoring snapshot: inout SnapshotReader) throws(CallStatus) { all = try TextMap(restoring: &snapshot) }
  func freeze() -> any Snapshot { all.freeze() }
  var digest: UInt64 { all.digest }
}

/// `Notes` in their second version, which counts those that are set.
private struct CountedNotes: ReplicatedService {
  static let schema = schemaWithSet("test.Forgetful")
  static let set = Command<CountedNotes, Google_Protobuf_StringValue, Google_Protobuf_StringValue>("Set") {
    notes, request, _ in
    notes.all[request.value] = 1
    notes.counts[request.value] = (notes.counts[request.value] ?? 0) + 1
    return .with { $0.value = "\(notes.all.count) notes, \(notes.counts.count) counted" }
  }
  static let methods = Methods<CountedNotes> { set }
  static var version: UInt32 { 2 }
  private var all = TextMap<Int64>()
  private var counts = TextMap<Int64>()

  init() {}
  init(restoring snapshot: inout SnapshotReader) throws(CallStatus) {
    all = try TextMap(restoring: &snapshot)
    if snapshot.version >= 2 { counts = try TextMap(restoring: &snapshot) }
  }
  func freeze() -> any Snapshot { JoinedSnapshot(all.freeze(), counts.freeze()) }
  var digest: UInt64 {
    if counts.isEmpty { return all.digest }
    var hasher = StableHasher()
    hasher.combine(all.digest)
    hasher.combine(counts.digest)
    return hasher.finish()
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
    let knows = ["time": "\(context.time)", "session": context.session.map { "\($0)" } ?? "none"]
    return .with { $0.value = knows[request.value] ?? request.value }
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
