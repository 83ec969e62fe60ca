public import Lockstep
public import LockstepConsensus
public import LockstepRequests
public import SwiftProtobuf

/// An event of a stream, with its message; that one's fields are at hand: `event.key`.
@dynamicMemberLookup
public struct TypedEvent<Message: SwiftProtobuf.Message>: Sendable {
  /// What has happened.
  public let message: Message
  /// Of the entry that it tells of; of a part of the state with which the stream began: of the last entry in that.
  public let index: LogIndex
  /// The term of that entry.
  public let term: Term
  /// The node that has sent it.
  public let node: NodeID
  /// It tells of the state with which the stream began, and of no change.
  public let isState: Bool

  /// A field of the message; one that is called like a property of this type is read from `message`.
  public subscript<Value>(dynamicMember field: KeyPath<Message, Value>) -> Value { message[keyPath: field] }
}

/// An `EventStream` with messages.
public struct TypedStream<Message: SwiftProtobuf.Message>: AsyncSequence, Sendable {
  private let events: EventStream

  init(_ events: EventStream) { self.events = events }

  /// Reads the events of a stream.
  public struct AsyncIterator: AsyncIteratorProtocol {
    var events: EventStream.AsyncIterator

    /// The next event; waits for it. Never nil. Throws as `EventStream` does, and `internal` for bytes that are no `Message`.
    public mutating func next() async throws(CallFailure) -> TypedEvent<Message>? {
      try typed(await events.next())
    }

    /// The next event; waits for it. Never nil.
    public mutating func next(isolation actor: isolated (any Actor)?) async throws(CallFailure) -> TypedEvent<Message>?
    {
      try typed(await events.next(isolation: actor))
    }

    private func typed(_ event: StreamEvent?) throws(CallFailure) -> TypedEvent<Message>? {
      guard let event else { return nil }
      do {
        return TypedEvent(
          message: try Message(serializedBytes: event.payload), index: event.index, term: event.term, node: event.node,
          isState: event.isState)
      } catch {
        let text = "the event is no \(Message.protoMessageName): does the node know another version of the service?"
        throw CallFailure(CallStatus(.internal, text), applied: .no, index: event.index, node: event.node)
      }
    }
  }

  /// Begins to read. A stream is read once, by one task.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(events: events.makeAsyncIterator()) }
}

extension LockstepClient {
  /// Follows what happens, by the value that the service declares.
  ///
  /// ```swift
  /// for try await event in client.watch(KeyValue.watch, .with { $0.prefix = "user/" }) {
  ///   print(event.index, event.key, event.value)
  /// }
  /// ```
  ///
  /// - Parameters:
  ///   - from: go on with the entry of this index, whatever the request says.
  ///   - patience: for so long a node is looked for that goes on, before the stream fails.
  public func watch<State, Request, Event>(
    _ watch: Watch<State, Request, Event>, _ request: Request, from: LogIndex? = nil, patience: Duration = .seconds(30)
  ) throws(CallFailure) -> TypedStream<Event> {
    let bytes: [UInt8]
    do { bytes = try request.serializedBytes() } catch {
      throw CallFailure(CallStatus(.invalidArgument, "the request cannot be encoded: \(error)"), applied: .no)
    }
    return TypedStream(stream(watch.fullName, bytes, from: from, patience: patience))
  }
}
