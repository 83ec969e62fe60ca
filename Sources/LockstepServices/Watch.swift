public import LockstepExecution
public import LockstepRequests
public import SwiftProtobuf

/// A method that answers with a stream of what happens: each event once, in the order of the log. The schema says so with
/// `returns (stream Event)` and `option idempotency_level = NO_SIDE_EFFECTS`.
///
/// What happens, the service's commands say as they are carried out: `context.emit(event)`. A watch says which of those events
/// a request asks for, and from where on.
///
/// ```swift
/// static let watch = Watch<KeyValue, Lockstep_Kv_V1_WatchRequest, Lockstep_Kv_V1_WatchEvent>("Watch") { request, event in
///   event.key.utf8.starts(with: request.prefix.utf8) ? event : nil
/// }
/// ```
public struct Watch<State: ReplicatedService, Request: SwiftProtobuf.Message, Event: SwiftProtobuf.Message>: Sendable {
  let method: Method<State>

  /// The watch of this name.
  ///
  /// - Parameters:
  ///   - name: as the schema has it, without the service's name.
  ///   - start: where the stream of this request begins; by default with what is carried out from now on. A thrown
  ///     `CallStatus` refuses the call.
  ///   - state: of a stream that begins with the state, the events that tell the next part of it, behind the event `last`, which
  ///     is nil at first; none: that was all. A part is made between commands: let it be short, a hundred events or 64 KiB.
  ///   - stateEnd: an event that follows on the state, before the changes.
  ///   - select: what the client is to hear of an event that a command has emitted; nil: nothing.
  public init(
    _ name: String, start: @escaping @Sendable (Request) throws -> MachineStream.Start = { _ in .now },
    state: @escaping @Sendable (borrowing State, Request, QueryContext, _ last: Event?) throws -> [Event] =
      { _, _, _, _ in [] },
    stateEnd: @escaping @Sendable (Request, QueryContext) -> Event? = { _, _ in nil },
    select: @escaping @Sendable (Request, Event) -> Event?
  ) {
    let type = Event.protoMessageName
    method = Method(
      name: name, types: MessageTypes(Request.self, Event.self), isLong: false,
      body: .watch { bytes throws(CallStatus) in
        let request = try decoded(Request.self, bytes)
        do {
          return WatchBody(
            start: try start(request),
            events: { change in
              change.events.compactMap { emitted in
                guard emitted.type == type, let event = try? Event(serializedBytes: emitted.bytes),
                  let selected = select(request, event)
                else { return nil }
                return try? stableBytes(of: selected)
              }
            },
            state: { (service, context, last) throws(CallStatus) in
              do {
                let last = try last.map { try Event(serializedBytes: $0) }
                return try state(service, request, context, last).map { try stableBytes(of: $0) }
              } catch { throw recorded(error) }
            },
            stateEnd: { context in stateEnd(request, context).flatMap { try? stableBytes(of: $0) } })
        } catch { throw recorded(error) }
      })
  }

  /// "package.Service/Method", as nodes know it.
  public var fullName: String { method.fullName }
}

/// What a watch makes of one request.
struct WatchBody<State: ReplicatedService>: Sendable {
  let start: MachineStream.Start
  let events: @Sendable (Change) -> [[UInt8]]
  let state: @Sendable (borrowing State, QueryContext, [UInt8]?) throws(CallStatus) -> [[UInt8]]
  let stateEnd: @Sendable (QueryContext) -> [UInt8]?
}

extension ApplyContext {
  /// Has those who follow this service hear of what happens, beside the command and its reply: see ``Watch``. `event` is not
  /// made where nobody records changes, so it may change nothing.
  @inlinable
  public func emit<Event: SwiftProtobuf.Message>(_ event: @autoclosure () -> Event) {
    emit { () -> (type: String, bytes: [UInt8]) in
      // A message that cannot be encoded lacks what it must have: nobody could read it.
      (type: Event.protoMessageName, bytes: (try? stableBytes(of: event())) ?? [])
    }
  }
}
