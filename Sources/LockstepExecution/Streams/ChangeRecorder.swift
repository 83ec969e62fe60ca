package import LockstepConsensus
import LockstepRequests
import Synchronization

/// Notes the commands that an executor carries out, for those who follow the changes. What a session's call was answered the
/// first time, and is answered again, is no change.
///
/// Unchecked: one thread has it, that which carries the commands out, and hands on what it takes.
@usableFromInline
package final class ChangeRecorder: @unchecked Sendable {
  /// What finds one, as long as it is there.
  @usableFromInline
  package struct Number: Sendable, Hashable {
    @usableFromInline let value: UInt32
    package static let none = Number(value: 0)
    @usableFromInline var isOne: Bool { @inlinable get { value != 0 } }

    @usableFromInline
    init(value: UInt32) { self.value = value }
  }

  private struct Registered {
    weak var recorder: ChangeRecorder?
  }

  private struct Registry {
    var all: [UInt32: Registered] = [:]
    var last: UInt32 = 0
  }

  private static let registry = Mutex(Registry())

  /// Of commands that are being carried out.
  private var events: [LogIndex: [Change.Event]] = [:]
  private var changes: [Change] = []

  package let number: Number

  package init() {
    number = Self.registry.withLock { registry in
      repeat { registry.last &+= 1 } while registry.last == 0 || registry.all[registry.last] != nil
      return Number(value: registry.last)
    }
    Self.registry.withLock { $0.all[number.value] = Registered(recorder: self) }
  }

  deinit { Self.registry.withLock { $0.all[number.value] = nil } }

  static func of(_ number: Number) -> ChangeRecorder? { registry.withLock { $0.all[number.value]?.recorder } }

  func emit(_ event: Change.Event, of index: LogIndex) { events[index, default: []].append(event) }

  /// These were carried out, and answered so.
  func carriedOut(_ commands: [CommandBatch.Waiting], _ replies: [Replies.Reply]) {
    for (command, reply) in zip(commands, replies) {
      let result: Result<[UInt8], CallStatus> =
        switch reply {
        case .success(let bytes): .success(bytes)
        case .failure(let status): .failure(status)
        }
      let context = command.context
      changes.append(
        Change(
          index: context.index, term: context.term, time: context.time, method: [UInt8](command.method),
          request: [UInt8](command.request), reply: result, events: events.removeValue(forKey: context.index) ?? []))
    }
  }

  /// Those since the last time, in the order of the log.
  package func take() -> [Change] {
    defer { changes.removeAll(keepingCapacity: true) }
    return changes
  }
}
