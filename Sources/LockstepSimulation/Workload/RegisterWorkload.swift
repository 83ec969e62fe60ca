package import LockstepConsensus
package import LockstepExecution

/// Clients of `Registers`, and what they saw.
package final class RegisterWorkload: Workload {
  package var machine: any StateMachine { Registers() }
  private let registers: Int
  private let padding: ClosedRange<Int>
  private let queriesIn: Int
  /// By register: the values that it has had, and from which index on.
  private var versions: [[(index: LogIndex, value: UInt64)]]

  package init(registers: Int, padding: ClosedRange<Int>, queriesIn: Int) {
    self.registers = registers
    self.padding = padding
    self.queriesIn = queriesIn
    versions = Array(repeating: [(.zero, 0)], count: registers)
  }

  package func next(number: UInt64, _ random: inout SimulationRandom) -> PlannedCall {
    let register = UInt8(random.below(registers))
    if random.oneIn(queriesIn) {
      let request = Registers.Request(operation: .get, register: register, number: number, first: 0, second: 0)
      return PlannedCall(number: number, method: "qq", request: request.encoded(padding: 0), isQuery: true)
    }
    let operations: [Registers.Operation] = [.put, .put, .put, .compareAndSet, .compareAndSet, .add, .fail]
    let operation = operations[random.below(operations.count)]
    // A value that some register is likely to have: the one that was written last, as far as is known here.
    let guess = versions[Int(register)].last?.value ?? 0
    let first = operation == .compareAndSet && !random.oneIn(3) ? guess : number
    let request = Registers.Request(
      operation: operation, register: register, number: number, first: first, second: number)
    return PlannedCall(
      number: number, method: "c", request: request.encoded(padding: random.within(padding)), isQuery: false)
  }

  package func number(of request: UnsafeRawBufferPointer) -> UInt64? { Registers.Request(request)?.number }

  package func committed(_ index: LogIndex, method: String, request: [UInt8], reply: [UInt8]?) {
    guard let request = request.withUnsafeBytes({ Registers.Request($0) }), Int(request.register) < registers else {
      return
    }
    let register = Int(request.register)
    let before = versions[register].last?.value ?? 0
    let after: UInt64
    switch request.operation {
    case .get, .fail: after = before
    case .put: after = request.first
    case .compareAndSet: after = before == request.first ? request.second : before
    case .add: after = before &+ request.first
    }
    if after != before { versions[register].append((index, after)) }
  }

  package func judge(_ call: PlannedCall, at index: LogIndex, answer: [UInt8]) -> String? {
    guard let request = call.request.withUnsafeBytes({ Registers.Request($0) }) else { return nil }
    let history = versions[Int(request.register)]
    var place = history.count - 1
    while place > 0, history[place].index > index { place -= 1 }
    let expected = Registers.answer(true, history[place].value)
    return answer == expected
      ? nil : "register \(request.register) reads as \(answer) at entry \(index), where it was \(expected)"
  }

  package func ended(_ call: PlannedCall, client: Int, from: UInt64, to: UInt64?, _ outcome: CallOutcome) {}
  package func verdict() -> String? { nil }
}
