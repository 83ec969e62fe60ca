package import LockstepConsensus
import LockstepRequests

/// Notes the commands that an executor carries out, for those who follow the changes. What a session's call was answered the
/// first time, and is answered again, is no change.
///
/// Unchecked: one thread has it, that which carries the commands out, and hands on what it takes.
@usableFromInline
package final class ChangeRecorder: @unchecked Sendable {
  /// Of commands that are being carried out.
  private var events: [LogIndex: [Change.Event]] = [:]
  private var changes: [Change] = []

  package init() {}

  func emit(_ event: Change.Event, of index: LogIndex) { events[index, default: []].append(event) }

  /// These were carried out, and answered so.
  func carriedOut(_ commands: [CommandBatch.Waiting], _ replies: [Replies.Reply]) {
    for (command, reply) in zip(commands, replies) {
      let result: Result<[UInt8], CallStatus> =
        switch reply {
        case .success(let bytes): .success(bytes)
        case .failure(let status): .failure(status)
        }
      changes.append(
        Change(
          index: command.index, term: command.term, time: command.time, method: [UInt8](command.method),
          request: [UInt8](command.request), reply: result, events: events.removeValue(forKey: command.index) ?? []))
    }
  }

  /// Those since the last time, in the order of the log.
  package func take() -> [Change] {
    defer { changes.removeAll(keepingCapacity: true) }
    return changes
  }
}
