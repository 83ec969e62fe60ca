public import Lockstep
public import LockstepConsensus
public import LockstepRequests
public import SwiftProtobuf

/// The answer to a call, with its message; that one's fields are at hand: `reply.balance`.
@dynamicMemberLookup
public struct TypedReply<Message: SwiftProtobuf.Message>: Sendable {
  /// What the service has answered.
  public var message: Message
  /// Of the command's entry, or of the state that the query saw.
  public var index: LogIndex
  /// The term of that entry, or of the last entry in that state.
  public var term: Term
  /// The node that served it.
  public var node: NodeID
  /// A command's level; nil for a query.
  public var acknowledgement: Acknowledgement?
  /// The voters on whose disks the leader knew the command when it answered.
  public var holders: [NodeID]
  /// The voters that had applied the command when it was answered, where its level asks for that (`.applied`).
  public var appliedBy: [NodeID]
  /// Has a read at level `session` see this reply's state or a later one; nil for a command that only its leader has stored.
  public var token: ReadToken?
  /// A query's level; nil for a command.
  public var consistency: Consistency?
  /// How old the state was, at most, that a query saw; nil: not known, or no query.
  public var age: Duration?

  init(_ message: Message, _ reply: Reply) {
    self.message = message
    index = reply.index
    term = reply.term
    node = reply.node
    acknowledgement = reply.acknowledgement
    holders = reply.holders
    appliedBy = reply.appliedBy
    token = reply.token
    consistency = reply.consistency
    age = reply.age
  }

  /// A field of the message; one that is called like a property of this type is read from `message`.
  public subscript<Value>(dynamicMember field: KeyPath<Message, Value>) -> Value { message[keyPath: field] }
}

extension LockstepClient {
  /// Calls a command by the value that its service declares, and waits for its answer. With acknowledgement `.leader` there
  /// is no reply yet: no field of the message is set.
  ///
  /// ```swift
  /// let reply = try await client.call(Bank.deposit, .with { $0.account = "ann"; $0.amount = 100 })
  /// print(reply.balance, reply.holders)
  /// ```
  public func call<State, Request, Reply>(
    _ command: Command<State, Request, Reply>, _ request: Request, options: CallOptions = CallOptions()
  ) async throws(CallFailure) -> TypedReply<Reply> {
    let reply = try await call(command.fullName, try encoded(request), options: options)
    return try typed(reply, applied: .yes)
  }

  /// Calls a query by the value that its service declares, and waits for its answer.
  public func call<State, Request, Reply>(
    _ query: Query<State, Request, Reply>, _ request: Request, options: CallOptions = CallOptions()
  ) async throws(CallFailure) -> TypedReply<Reply> {
    let reply = try await call(query.fullName, try encoded(request), options: options)
    return try typed(reply, applied: .no)
  }

  /// Makes many calls of one command in one message, as the untyped `batch` does: an answer for each request, in the same
  /// order; or a failure of the batch as a whole.
  public func batch<State, Request, Reply>(
    _ command: Command<State, Request, Reply>, _ requests: [Request], options: CallOptions = CallOptions()
  ) async throws(CallFailure) -> [Result<TypedReply<Reply>, CallFailure>] {
    var payloads: [[UInt8]] = []
    payloads.reserveCapacity(requests.count)
    for request in requests { payloads.append(try encoded(request)) }
    var typedReplies: [Result<TypedReply<Reply>, CallFailure>] = []
    typedReplies.reserveCapacity(requests.count)
    for result in try await batch(command.fullName, payloads, options: options) {
      typedReplies.append(Result { () throws(CallFailure) in try typed(result.get(), applied: .yes) })
    }
    return typedReplies
  }

  private func encoded(_ request: some SwiftProtobuf.Message) throws(CallFailure) -> [UInt8] {
    do { return try request.serializedBytes() } catch {
      let status = CallStatus(.invalidArgument, "the request cannot be encoded: \(error)")
      throw CallFailure(status, applied: .no)
    }
  }

  private func typed<Message: SwiftProtobuf.Message>(
    _ reply: Reply, applied: Applied
  ) throws(CallFailure) -> TypedReply<Message> {
    do { return TypedReply(try Message(serializedBytes: reply.payload), reply) } catch {
      let status = CallStatus(
        .internal, "the reply is no \(Message.protoMessageName): does the node know another version of the service?")
      var failure = CallFailure(status, applied: applied, index: reply.index, term: reply.term, node: reply.node)
      failure.token = reply.token
      throw failure
    }
  }
}
