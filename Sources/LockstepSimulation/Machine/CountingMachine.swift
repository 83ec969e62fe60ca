import LockstepExecution

/// A machine as it is, and how many commands it has carried out: whether one was, its state need not tell.
struct CountingMachine: StateMachine {
  private(set) var machine: any StateMachine
  private(set) var commands = 0

  init(_ machine: any StateMachine) { self.machine = machine }

  mutating func apply(_ batch: CommandBatch, into replies: inout Replies) {
    commands += batch.count
    machine.apply(batch, into: &replies)
  }

  func query(_ call: MethodCall, _ context: QueryContext) throws(CallStatus) -> [UInt8] {
    try machine.query(call, context)
  }

  func isLong(_ query: MethodCall) -> Bool { machine.isLong(query) }
  func validate(_ call: MethodCall) throws(CallStatus) { try machine.validate(call) }
  func kind(ofMethod method: RawSpan) -> MethodKind? { machine.kind(ofMethod: method) }
  func freeze() -> any Snapshot { machine.freeze() }

  func restored(from snapshot: inout SnapshotReader) throws(CallStatus) -> CountingMachine {
    CountingMachine(try machine.restored(from: &snapshot))
  }

  var version: UInt32 { machine.version }
  var digest: UInt64 { machine.digest }
  var schemas: [Schema] { machine.schemas }
}
