package import LockstepConsensus
package import LockstepExecution

/// What clients ask for, and how their answers are judged.
package protocol Workload: AnyObject {
  var machine: any StateMachine { get }
  /// The next call; `number` is its own, and no other call has it.
  func next(number: UInt64, _ random: inout SimulationRandom) -> PlannedCall
  /// The number that `next` has put into a command, or nil where it puts none.
  func number(of request: UnsafeRawBufferPointer) -> UInt64?
  /// A committed entry was replayed.
  func committed(_ index: LogIndex, method: String, request: [UInt8], reply: [UInt8]?)
  /// The machine after it. Returns what is wrong with its state.
  func applied(_ index: LogIndex, _ machine: any StateMachine) -> String?
  /// A query was answered from the state at this index, of this time. Returns what is wrong with the answer.
  func judge(_ call: PlannedCall, at index: LogIndex, time: UInt64, answer: [UInt8]) -> String?
  func began(_ call: PlannedCall, client: Int, at time: UInt64)
  /// A call has ended, or will never be heard of again.
  func ended(_ call: PlannedCall, at time: UInt64, _ outcome: CallOutcome)
  /// At the end of the run: what is wrong with all of it together.
  func verdict() -> String?
}

package struct PlannedCall: Sendable {
  package var number: UInt64
  package var method: String
  package var request: [UInt8]
  package var isQuery: Bool
  /// A query that was asked at this level, as most are.
  package var isLinearizable = false
  /// 0: in none.
  package var session: UInt64 = 0
  package var sequence: UInt64 = 0
  /// So often it was sent before, and nobody knows what became of it.
  package var sendings = 0

  package init(number: UInt64, method: String, request: [UInt8], isQuery: Bool) {
    self.number = number
    self.method = method
    self.request = request
    self.isQuery = isQuery
  }
}

package enum CallOutcome: Sendable, Equatable {
  case answered([UInt8])
  /// Certainly not carried out, or carried out without effect.
  case refused
  case unknown
}
