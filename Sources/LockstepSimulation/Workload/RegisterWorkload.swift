package import LockstepConsensus
package import LockstepExecution

/// Clients of `Registers`, and what they saw.
package final class RegisterWorkload: Workload {
  package var machine: any StateMachine { Registers() }
  private let registers: Int
  private let padding: ClosedRange<Int>
  private let queriesIn: Int
  /// Of what puts make the content of their register, from time to time; nil: of nothing.
  private let contents: ClosedRange<Int>?
  /// What long requests and the long replies to commands may still come to: they are kept for the judgement. And the
  /// replies to queries. In bytes, so that a seed does not take long.
  private var longBytes = 3 << 20
  private var longQueryBytes = 12 << 20
  /// By register: the values that it has had, the lengths of its contents, and from which index on.
  private var versions: [[(index: LogIndex, value: UInt64, content: Int)]]
  private var histories: [[Recorded]]
  /// Of calls under way, in the history of their register.
  private var places: [UInt64: Int] = [:]
  private(set) var decided = 0
  private(set) var undecided = 0

  /// Operations of a register that go into the search for an order; the judgement by index looks at all of them.
  private static let longestHistory = 400
  private static let maximumSteps = 20_000

  private struct Recorded {
    var operation: RegisterOperation
    let called: UInt64
    var returned: UInt64?
    var hadEffect = true
  }

  package init(registers: Int, padding: ClosedRange<Int>, queriesIn: Int, contents: ClosedRange<Int>? = nil) {
    self.contents = contents
    self.registers = registers
    self.padding = padding
    self.queriesIn = queriesIn
    versions = Array(repeating: [(.zero, 0, 0)], count: registers)
    histories = Array(repeating: [], count: registers)
  }

  package func next(number: UInt64, _ random: inout SimulationRandom) -> PlannedCall {
    let register = UInt8(random.below(registers))
    if random.oneIn(queriesIn) {
      var request = Registers.Request(operation: .get, register: register, number: number, first: 0, second: 0)
      request.wantsContent = takesContent(of: register, from: &longQueryBytes, &random)
      return PlannedCall(number: number, method: "qq", request: request.encoded(padding: 0), isQuery: true)
    }
    let operations: [Registers.Operation] = [.put, .put, .put, .compareAndSet, .compareAndSet, .add, .fail]
    let operation = operations[random.below(operations.count)]
    // A value that some register is likely to have: the one that was written last, as far as is known here.
    let guess = versions[Int(register)].last?.value ?? 0
    let first = operation == .compareAndSet && !random.oneIn(3) ? guess : number
    var request = Registers.Request(
      operation: operation, register: register, number: number, first: first, second: number)
    var size = random.within(padding)
    if let contents, operation == .put, longBytes > 0, random.oneIn(4) {
      size = random.within(contents)
      longBytes -= size
      request.setsContent = true
    }
    request.wantsContent = takesContent(of: register, from: &longBytes, &random)
    return PlannedCall(number: number, method: "c", request: request.encoded(padding: size), isQuery: false)
  }

  /// Whether a call asks for the content, which is as long as is known here or thereabouts.
  private func takesContent(of register: UInt8, from budget: inout Int, _ random: inout SimulationRandom) -> Bool {
    guard contents != nil, budget > 0, random.oneIn(2) else { return false }
    budget -= versions[Int(register)].last?.content ?? 0
    return true
  }

  package func number(of request: UnsafeRawBufferPointer) -> UInt64? { Registers.Request(request)?.number }

  package func committed(_ index: LogIndex, method: String, request bytes: [UInt8], reply: [UInt8]?) {
    guard let request = bytes.withUnsafeBytes({ Registers.Request($0) }), Int(request.register) < registers else {
      return
    }
    let register = Int(request.register)
    let (before, content) = versions[register].last.map { ($0.value, $0.content) } ?? (0, 0)
    let after: UInt64
    switch request.operation {
    case .get, .fail: after = before
    case .put: after = request.first
    case .compareAndSet: after = before == request.first ? request.second : before
    case .add: after = before &+ request.first
    }
    let length = request.operation == .put && request.setsContent ? bytes.count - Registers.Request.bytes : content
    if after != before || length != content { versions[register].append((index, after, length)) }
  }

  package func applied(_ index: LogIndex, _ machine: any StateMachine) -> String? { nil }

  package func judge(_ call: PlannedCall, at index: LogIndex, time: UInt64, answer: [UInt8]) -> String? {
    guard let request = call.request.withUnsafeBytes({ Registers.Request($0) }) else { return nil }
    let history = versions[Int(request.register)]
    var place = history.count - 1
    while place > 0, history[place].index > index { place -= 1 }
    let expected = Registers.answer(true, history[place].value)
    let length = request.wantsContent ? history[place].content : 0
    return answer.starts(with: expected) && answer.count == expected.count + length
      ? nil
      : "register \(request.register) reads as \(answer.prefix(9)) and \(answer.count) bytes at entry \(index), where it was \(expected) and \(length) bytes more"
  }

  package func began(_ call: PlannedCall, client: Int, at time: UInt64) {
    // A level that promises less than the newest state belongs into no such history.
    guard !call.isQuery || call.isLinearizable, let request = call.request.withUnsafeBytes({ Registers.Request($0) })
    else { return }
    places[call.number] = histories[Int(request.register)].count
    histories[Int(request.register)].append(
      Recorded(
        operation: RegisterOperation(
          operation: request.operation, first: request.first, second: request.second, answer: nil), called: time))
  }

  package func ended(_ call: PlannedCall, at time: UInt64, _ outcome: CallOutcome) {
    guard let place = places.removeValue(forKey: call.number),
      let request = call.request.withUnsafeBytes({ Registers.Request($0) })
    else { return }
    let register = Int(request.register)
    switch outcome {
    case .answered(let bytes):
      histories[register][place].returned = time
      histories[register][place].operation.answer = RegisterOperation.Answer(bytes)
    case .refused: histories[register][place].hadEffect = false
    case .unknown: break
    }
  }

  /// The first so many calls. What returned after the next one was called may have seen that one: its answer does not
  /// count.
  private static func beginning(_ history: [Recorded]) -> [TimedOperation<RegisterOperation>] {
    let end = history.count > longestHistory ? history[longestHistory].called : .max
    return history.prefix(longestHistory).compactMap { recorded in
      guard recorded.hadEffect else { return nil }
      var operation = recorded.operation
      if let returned = recorded.returned, returned <= end {
        return TimedOperation(operation, called: recorded.called, returned: returned)
      }
      operation.answer = nil
      return recorded.operation.operation == .get
        ? nil : TimedOperation(operation, called: recorded.called, returned: nil)
    }
  }

  package func verdict() -> String? {
    for (register, history) in histories.enumerated() {
      switch LinearizabilityChecker<SimulatedRegister>(Self.beginning(history), maximumSteps: Self.maximumSteps)
        .verdict()
      {
      case .linearizable: decided += 1
      case .undecided: undecided += 1
      case .notLinearizable(let place):
        return "the history of register \(register) fits into no order, at the latest from its operation \(place) on"
      }
    }
    return nil
  }
}

/// An operation on one of `Registers`, and what was answered.
struct RegisterOperation: Sendable {
  struct Answer: Sendable, Equatable {
    let flag: Bool
    let value: UInt64

    init?(_ bytes: [UInt8]) {
      guard bytes.count >= 9 else { return nil }
      flag = bytes[0] == 1
      value = bytes[1..<9].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
  }

  let operation: Registers.Operation
  let first: UInt64
  let second: UInt64
  var answer: Answer?
}

/// One register alone, as a model of itself.
enum SimulatedRegister: SequentialModel {
  static let initial: UInt64 = 0

  static func step(_ state: UInt64, _ call: RegisterOperation) -> UInt64? {
    let (flag, value, after): (Bool, UInt64, UInt64) =
      switch call.operation {
      case .get, .fail: (true, state, state)
      case .put: (true, state, call.first)
      case .compareAndSet:
        state == call.first ? (true, call.second, call.second) : (false, state, state)
      case .add: (true, state &+ call.first, state &+ call.first)
      }
    guard let answer = call.answer else { return after }
    return answer.flag == flag && answer.value == value ? after : nil
  }
}
