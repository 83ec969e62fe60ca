import Dispatch
import Foundation
import LockstepExecution
import LockstepRequests
import NIOCore
import Synchronization

/// Queries on a few threads, so that a long one holds up neither the commands nor the loop, nor at once all others: those of
/// a machine with its own storage, and the long ones of a machine in memory.
final class QueryThreads: LongQueries {
  private struct Asked {
    let id: UInt64
    let method: [UInt8]
    let request: [UInt8]
    let deadline: UInt64
    /// What answers it; nil: the reader of the thread that takes it.
    let state: FrozenMachine?
  }

  private struct State {
    var asked: [Asked] = []
    /// Those before it are taken.
    var next = 0
    var answered: [(UInt64, StoredAnswer)] = []
    var isStopping = false
  }

  /// A reader is of one thread.
  private struct Seat: @unchecked Sendable {
    // Unchecked: made before its thread starts, and touched by that alone.
    let reader: (any StoredStateReader)?
  }

  /// As many are asked at the same time.
  static let threads = 4
  private let state = Mutex(State())
  private let wake = DispatchSemaphore(value: 0)
  private let ended = DispatchSemaphore(value: 0)
  private let started = Atomic<Int>(0)
  private let isReady: @Sendable () -> Void

  init(isReady: @escaping @Sendable () -> Void) { self.isReady = isReady }

  /// A thread for each: with a reader of its own, or for queries that bring their state.
  func start(_ readers: [(any StoredStateReader)?]) {
    for reader in readers {
      let seat = Seat(reader: reader)
      started.add(1, ordering: .relaxed)
      let thread = Thread { self.run(seat) }
      thread.name = "lockstep-query"
      thread.stackSize = 8 << 20
      thread.start()
    }
  }

  func ask(_ id: UInt64, _ call: MethodCall, of state: FrozenMachine, deadline: UInt64) {
    ask(id, call, deadline, state)
  }

  func ask(_ id: UInt64, _ call: MethodCall, _ deadline: UInt64, _ frozen: FrozenMachine? = nil) {
    let asked = Asked(
      id: id, method: [UInt8](call.methodBytes), request: [UInt8](call.requestBytes), deadline: deadline,
      state: frozen)
    state.withLock { $0.asked.append(asked) }
    wake.signal()
  }

  func collect() -> [(UInt64, StoredAnswer)] {
    state.withLock { state in
      defer { state.answered = [] }
      return state.answered
    }
  }

  /// What is under way is given up.
  func stop() {
    state.withLock { $0.isStopping = true }
    let count = started.load(ordering: .relaxed)
    for _ in 0..<count { wake.signal() }
    for _ in 0..<count { ended.wait() }
  }

  private func run(_ seat: Seat) {
    while true {
      wake.wait()
      let (asked, isStopping) = state.withLock { state -> (Asked?, Bool) in
        guard state.next < state.asked.count else { return (nil, state.isStopping) }
        defer {
          state.next += 1
          if state.next == state.asked.count || state.next >= 1024 {
            state.asked.removeSubrange(..<state.next)
            state.next = 0
          }
        }
        return (state.asked[state.next], state.isStopping)
      }
      if isStopping { break }
      guard let asked else { continue }
      let answer = answer(asked, seat.reader)
      let mustTell = state.withLock { state in
        state.answered.append((asked.id, answer))
        return state.answered.count == 1
      }
      if mustTell { isReady() }
    }
    ended.signal()
  }

  private func answer(_ asked: Asked, _ reader: (any StoredStateReader)?) -> StoredAnswer {
    func isLate() -> Bool {
      NIODeadline.now().uptimeNanoseconds > asked.deadline || state.withLock { $0.isStopping }
    }
    guard !isLate() else { return Self.late }
    return asked.method.withUnsafeBytes { method in
      asked.request.withUnsafeBytes { request in
        let call = MethodCall(method: method, request: request)
        if let state = asked.state { return state.query(call) }
        do throws(StoredMachineFailure) {
          guard let reader else { preconditionFailure("a query without a state, on a thread without one") }
          return try reader.query(call, isLate: isLate)
        } catch {
          // The commands find out by themselves whether the node can go on.
          return StoredAnswer(mark: StoredMark(), result: .failure(CallStatus(.internal, error.message)))
        }
      }
    }
  }

  private static let late = StoredAnswer(
    mark: StoredMark(), result: .failure(CallStatus(.deadlineExceeded, "the query was not answered in time")))
}
