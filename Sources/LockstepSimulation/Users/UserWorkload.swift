package import LockstepConsensus
package import LockstepExecution

/// A user's calls and invariant.
package final class UserWorkload<Machine: StateMachine>: Workload {
  package let machine: any StateMachine
  private let initial: Machine
  private let generate: (inout SimulationRandom) throws -> SimulatedCall
  private let invariant: (Machine) -> String?
  private(set) var generatorError: (any Error)?
  private(set) var lastCommand: String?
  /// Copies of the machine after recent commands, for queries that were answered from them.
  private var recent: [(index: LogIndex, machine: Machine)] = []
  private var newest: Machine
  private static var remembered: Int { 64 }
  /// Short, so that values lie in more than one piece of a snapshot.
  private static var pieceBytes: Int { 100 }

  init(
    machine: Machine, next: @escaping (inout SimulationRandom) throws -> SimulatedCall,
    invariant: @escaping (Machine) -> String?
  ) {
    self.machine = machine
    initial = machine
    newest = machine
    generate = next
    self.invariant = invariant
  }

  package func next(number: UInt64, _ random: inout SimulationRandom) -> PlannedCall {
    do {
      let call = try generate(&random)
      let kind = Array(call.method.utf8).withUnsafeBytes { initial.kind(ofMethod: $0.bytes) }
      return PlannedCall(number: number, method: call.method, request: call.request, isQuery: kind == .query)
    } catch {
      if generatorError == nil { generatorError = error }
      return PlannedCall(number: number, method: "", request: [], isQuery: false)
    }
  }

  package func number(of request: UnsafeRawBufferPointer) -> UInt64? { nil }

  package func committed(_ index: LogIndex, method: String, request: [UInt8], reply: [UInt8]?) {
    lastCommand = "entry \(index), \(method), a request of \(request.count) bytes: \(Self.hex(request))"
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef")
    let text = String(bytes.prefix(64).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    return bytes.count > 64 ? text + "…" : text
  }

  package func applied(_ index: LogIndex, _ machine: any StateMachine) -> String? {
    guard let machine = machine as? Machine else { return nil }
    newest = machine
    recent.append((index, machine))
    if recent.count > 2 * Self.remembered { recent.removeFirst(Self.remembered) }
    return invariant(machine)
  }

  package func judge(_ call: PlannedCall, at index: LogIndex, time: UInt64, answer: [UInt8]) -> String? {
    guard let place = recent.lastIndex(where: { $0.index <= index }) else { return nil }
    let machine = recent[place].machine
    let isSame = Array(call.method.utf8).withUnsafeBytes { method in
      call.request.withUnsafeBytes { request -> Bool in
        let context = QueryContext(group: .first, index: index, time: time)
        do throws(CallStatus) {
          return try machine.query(LockstepExecution.MethodCall(method: method, request: request), context) == answer
        } catch { return false }
      }
    }
    return isSame ? nil : "\(call.method) is answered otherwise than a replay up to entry \(index) does"
  }

  package func began(_ call: PlannedCall, client: Int, at time: UInt64) {}
  package func ended(_ call: PlannedCall, at time: UInt64, _ outcome: CallOutcome) {}

  /// A snapshot that is restored must be the state again.
  package func verdict() -> String? {
    var reader = SnapshotReader(newest.freeze(), version: newest.version, maximumBytes: Self.pieceBytes)
    do throws(CallStatus) {
      let restored = try initial.restored(from: &reader)
      try reader.end()
      return restored.digest == newest.digest
        ? nil : "a state that was restored from its snapshot differs from what it was"
    } catch { return "a snapshot cannot be restored: \(error.message)" }
  }
}
