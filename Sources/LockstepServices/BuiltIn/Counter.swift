public import LockstepExecution
import SwiftProtobuf

/// The built-in service `lockstep.counter.v1.Counter`: named 64-bit counters, which start from 0.
public struct Counter: Service {
  public static let schema = Schema(
    name: "lockstep.counter.v1.Counter", descriptorSet: PackageResources.counter_descriptor)

  public static let methods = Methods<Counter> {
    Command("Add", add)
    Query("Get", get)
  }

  private var values = TextMap<Int64>()

  public init() {}
  public init(restoring snapshot: inout SnapshotReader) throws(Status) { values = try TextMap(restoring: &snapshot) }
  public func freeze() -> any Snapshot { values.freeze() }
  public var digest: UInt64 { values.digest }

  static func add(
    _ state: inout Counter, _ request: Lockstep_Counter_V1_AddRequest, _ context: inout ApplyContext
  ) throws(Status) -> Lockstep_Counter_V1_AddReply {
    let value = state.values[request.name] ?? 0
    let (sum, overflow) = value.addingReportingOverflow(request.delta)
    guard !overflow else {
      throw Status(
        .outOfRange, "counter \"\(request.name)\" is \(value): adding \(request.delta) does not fit in 64 bits")
    }
    state.values[request.name] = sum
    return .with {
      $0.value = sum
      $0.revision = context.index.rawValue
    }
  }

  static func get(
    _ state: borrowing Counter, _ request: Lockstep_Counter_V1_GetRequest, _ context: QueryContext
  ) throws(Status) -> Lockstep_Counter_V1_GetReply {
    .with { $0.value = state.values[request.name] ?? 0 }
  }
}
