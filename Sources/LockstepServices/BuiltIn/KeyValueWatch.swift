import LockstepConsensus
import LockstepExecution
import LockstepRequests
import SwiftProtobuf

extension KeyValue {
  /// A part of the state that a watch begins with has at most so many keys, and no more than so many bytes of keys and values,
  /// unless the first has more.
  private static let partItems = 256
  private static let partBytes = 64 * 1024

  /// Follows the keys that start with a prefix.
  public static let watch = Watch<KeyValue, Lockstep_Kv_V1_WatchRequest, Lockstep_Kv_V1_WatchEvent>(
    "Watch",
    start: { request in
      guard request.includeInitial else { return request.hasFrom ? .from(LogIndex(request.from)) : .now }
      guard !request.hasFrom else {
        throw CallStatus(.invalidArgument, "with include_initial a watch begins with the state, and 'from' is left out")
      }
      return .state
    },
    state: { service, request, context, last in service.part(of: request, behind: last) },
    stateEnd: { request, context in
      .with {
        $0.type = .progress
        $0.revision = context.index.rawValue
      }
    },
    select: { request, event in
      guard event.key.utf8.starts(with: request.prefix.utf8) else { return nil }
      guard event.hasPrevious, !request.previous else { return event }
      var event = event
      event.clearPrevious()
      return event
    })

  private func part(
    of request: Lockstep_Kv_V1_WatchRequest, behind last: Lockstep_Kv_V1_WatchEvent?
  ) -> [Lockstep_Kv_V1_WatchEvent] {
    // The least key behind another one is that with a NUL behind it.
    let bounds = RangeBounds(start: last.map { $0.key + "\0" } ?? "", end: "", prefix: request.prefix)
    var (events, bytes): ([Lockstep_Kv_V1_WatchEvent], Int) = ([], 0)
    scan(bounds) { key, value in
      bytes += key.utf8.count + value.text.utf8.count
      guard events.count < Self.partItems, events.isEmpty || bytes <= Self.partBytes else { return false }
      events.append(
        .with {
          $0.type = .initial
          $0.key = key
          $0.value = value.text
          $0.revision = value.revision
        })
      return true
    }
    return events
  }

  /// What a command has done to a key; `value` nil: it was removed.
  func told(
    _ key: String, _ value: String?, _ previous: String?, _ context: ApplyContext
  ) -> Lockstep_Kv_V1_WatchEvent {
    .with {
      $0.type = value == nil ? .delete : .put
      $0.key = key
      if let value { $0.value = value }
      if let previous { $0.previous = previous }
      $0.revision = context.index.rawValue
    }
  }
}
