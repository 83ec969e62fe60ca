import LockstepExecution
import LockstepServices
import SwiftProtobuf

/// The calls of KeyValue on one replica.
struct KeyValueStore {
  private(set) var replica: Replica

  init() {
    do { replica = try Replica(KeyValue.self) } catch { preconditionFailure("\(error)") }
  }

  var digest: UInt64 { replica.digest }

  mutating func put(_ key: String, _ value: String) throws -> UInt64 {
    var request = Lockstep_Kv_V1_PutRequest()
    request.key = key
    request.value = value
    return try replica.command("lockstep.kv.v1.KeyValue/Put", request, Lockstep_Kv_V1_PutReply.self).revision
  }

  func get(_ key: String) throws -> Lockstep_Kv_V1_GetReply {
    var request = Lockstep_Kv_V1_GetRequest()
    request.key = key
    return try replica.query("lockstep.kv.v1.KeyValue/Get", request)
  }

  mutating func delete(_ key: String) throws -> Lockstep_Kv_V1_DeleteReply {
    var request = Lockstep_Kv_V1_DeleteRequest()
    request.key = key
    return try replica.command("lockstep.kv.v1.KeyValue/Delete", request)
  }

  mutating func compareAndSet(
    _ key: String, _ expected: String?, _ value: String
  ) throws -> Lockstep_Kv_V1_CompareAndSetReply {
    var request = Lockstep_Kv_V1_CompareAndSetRequest()
    request.key = key
    if let expected { request.expected = expected }
    request.value = value
    return try replica.command("lockstep.kv.v1.KeyValue/CompareAndSet", request)
  }

  func range(
    start: String = "", end: String = "", prefix: String = "", limit: UInt32 = 0
  ) throws -> Lockstep_Kv_V1_RangeReply {
    var request = Lockstep_Kv_V1_RangeRequest()
    request.start = start
    request.end = end
    request.prefix = prefix
    request.limit = limit
    return try replica.query("lockstep.kv.v1.KeyValue/Range", request)
  }
}
