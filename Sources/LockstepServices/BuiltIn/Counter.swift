public import LockstepExecution
import SwiftProtobuf

/// The built-in service `lockstep.counter.v1.Counter`: named 64-bit counters, which start from 0.
public struct Counter: ReplicatedService {
  public static let schema = Schema(
    name: "lockstep.counter.v1.Counter", descriptorSet: PackageResources.counter_descriptor)

  /// Adds to a counter, and answers with what it is then; `outOfRange` when that does not fit in 64 bits.
  public static let add = Command<Counter, Lockstep_Counter_V1_AddRequest, Lockstep_Counter_V1_AddReply>("Add") {
    try $0.add($1, $2)
  }
  /// What a counter is.
  public static let get = Query<Counter, Lockstep_Counter_V1_GetRequest, Lockstep_Counter_V1_GetReply>("Get") {
    counter, request, _ in counter.get(request)
  }

  public static let methods = Methods<Counter> {
    add
    get
  }

  private var values = TextMap<Int64>()

  public init() {}
  public init(restoring snapshot: inout SnapshotReader) throws(CallStatus) {
    values = try TextMap(restoring: &snapshot)
  }
  public func freeze() -> any Snapshot { values.freeze() }
  public var digest: UInt64 { values.digest }

  private mutating func add(
    _ request: Lockstep_Counter_V1_AddRequest, _ context: ApplyContext
  ) throws(CallStatus) -> Lockstep_Counter_V1_AddReply {
    let value = values[request.name] ?? 0
    let (sum, overflow) = value.addingReportingOverflow(request.delta)
    guard !overflow else {
      throw CallStatus(
        .outOfRange, "counter \"\(request.name)\" is \(value): adding \(request.delta) does not fit in 64 bits")
    }
    values[request.name] = sum
    return .with {
      $0.value = sum
      $0.revision = context.index.rawValue
    }
  }

  private func get(_ request: Lockstep_Counter_V1_GetRequest) -> Lockstep_Counter_V1_GetReply {
    .with { $0.value = values[request.name] ?? 0 }
  }
}
