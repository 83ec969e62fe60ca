public import LockstepExecution
public import SwiftProtobuf

/// A method that changes the state: it goes through the log, and every replica carries it out. It is also what a client
/// calls it by (`LockstepClient.call`).
public struct Command<State: ReplicatedService, Request: SwiftProtobuf.Message, Reply: SwiftProtobuf.Message>: Sendable
{
  @usableFromInline let method: Method<State>
  @usableFromInline let body: @Sendable (inout State, Request, inout ApplyContext) throws -> Reply

  /// The command of this name, which `body` carries out. Bytes that are not a `Request` are answered with
  /// `invalidArgument`, without a call of `body`.
  ///
  /// ```swift
  /// static let deposit = Command<Bank, Bank_V1_DepositRequest, Bank_V1_DepositReply>("Deposit") {
  ///   try $0.deposit($1, $2)
  /// }
  /// ```
  ///
  /// - Parameters:
  ///   - name: as the schema has it, without the service's name: `"Deposit"`.
  ///   - body: changes the state and gives the reply. A thrown CallStatus is the recorded reply, the same on every replica;
  ///     of any other error nothing but that it was one is recorded, as its words may differ from replica to replica.
  @inlinable
  public init(
    _ name: String, _ body: @escaping @Sendable (inout State, Request, inout ApplyContext) throws -> Reply
  ) {
    self.init(name, ahead: nil, body)
  }

  /// The same command, which asks for the memory that the next few of its calls will need before they are carried out one
  /// after the other: `.prefetching { bank, requests in bank.accounts.prefetch(requests) { $0.account } }`.
  ///
  /// - Parameter ahead: can change nothing, and is not called for a command that comes alone.
  @inlinable
  public func prefetching(_ ahead: @escaping @Sendable (borrowing State, [Request]) -> Void) -> Self {
    Self(method.name, ahead: ahead, body)
  }

  @inlinable
  init(
    _ name: String, ahead: (@Sendable (borrowing State, [Request]) -> Void)?,
    _ body: @escaping @Sendable (inout State, Request, inout ApplyContext) throws -> Reply
  ) {
    self.init(name, MessageTypes(Request.self, Reply.self), body) { state, commands, replies in
      var requests: [Request] = []
      if let ahead, commands.count > 1 {
        requests.reserveCapacity(commands.count)
        for place in 0..<commands.count {
          guard let request = try? decoded(Request.self, commands[place].call.request) else { break }
          requests.append(request)
        }
        ahead(state, requests)
      }
      for place in 0..<commands.count {
        let command = commands[place]
        var context = command.context
        do {
          var request = Request()
          if place < requests.count {
            // Moved out: to copy it would be to count references to all that it holds.
            swap(&request, &requests[place])
          } else {
            request = try decoded(Request.self, command.call.request)
          }
          let reply = try body(&state, request, &context)
          replies.succeed(replies.areWanted ? try stableBytes(of: reply) : [])
        } catch { replies.fail(recorded(error)) }
      }
    }
  }

  @usableFromInline
  init(
    _ name: String, _ types: MessageTypes,
    _ body: @escaping @Sendable (inout State, Request, inout ApplyContext) throws -> Reply,
    all: @escaping CommandBody<State>
  ) {
    self.body = body
    method = Method(name: name, types: types, isLong: false, body: .command(all))
  }

  /// "package.Service/Method", as nodes know it.
  public var fullName: String { method.fullName }
}

/// Carries out consecutive commands of one method, and answers each.
@usableFromInline
typealias CommandBody<State: ReplicatedService> = @Sendable (inout State, CommandBatch, inout Replies) -> Void

/// A method that reads the state and changes nothing: it never goes through the log. The schema says so with
/// `option idempotency_level = NO_SIDE_EFFECTS`. It is also what a client calls it by (`LockstepClient.call`).
public struct Query<State: ReplicatedService, Request: SwiftProtobuf.Message, Reply: SwiftProtobuf.Message>: Sendable {
  let method: Method<State>

  /// The query of this name, which `body` answers. Bytes that are not a `Request` are answered with `invalidArgument`,
  /// without a call of `body`.
  ///
  /// - Parameters:
  ///   - name: as the schema has it, without the service's name: `"Balance"`.
  ///   - isLong: whether it may take more than a fraction of a millisecond, as one that goes through much of the state does.
  ///     It is then answered on another thread, from a copy of the state, and holds up no commands. To hand it over costs
  ///     some microseconds.
  ///   - body: gives the reply. A thrown CallStatus is the reply; of any other error it says that it was one.
  @inlinable
  public init(
    _ name: String, isLong: Bool = false,
    _ body: @escaping @Sendable (borrowing State, Request, QueryContext) throws -> Reply
  ) {
    self.init(
      name, MessageTypes(Request.self, Reply.self), isLong: isLong,
      body: { (state, bytes, context) throws(CallStatus) in
        do {
          return try stableBytes(of: body(state, decoded(Request.self, bytes), context))
        } catch { throw recorded(error) }
      })
  }

  @usableFromInline
  init(
    _ name: String, _ types: MessageTypes, isLong: Bool,
    body: @escaping @Sendable (borrowing State, RawSpan, QueryContext) throws(CallStatus) -> [UInt8]
  ) {
    method = Method(name: name, types: types, isLong: isLong, body: .query(body))
  }

  /// "package.Service/Method", as nodes know it.
  public var fullName: String { method.fullName }
}

/// The methods of a service and the functions that carry them out.
public struct Methods<State: ReplicatedService>: Sendable {
  let all: [Method<State>]

  /// The list of a service's methods. `ServiceMachine` checks it against the schema when it is made.
  ///
  /// - Parameter methods: a `Command`, a `Query` or a `Watch` for each method of the schema, one after the other.
  public init(@Builder _ methods: () -> [Method<State>]) { all = methods() }

  /// Makes the list of methods from the commands and queries that stand one after the other.
  @resultBuilder
  public enum Builder {
    /// The method that a command describes.
    public static func buildExpression<Request, Reply>(
      _ command: Command<State, Request, Reply>
    ) -> Method<State> { command.method }
    /// The method that a query describes.
    public static func buildExpression<Request, Reply>(
      _ query: Query<State, Request, Reply>
    ) -> Method<State> { query.method }
    /// The method that a watch describes.
    public static func buildExpression<Request, Event>(
      _ watch: Watch<State, Request, Event>
    ) -> Method<State> { watch.method }
    /// The methods in the order in which they are written.
    public static func buildBlock(_ methods: Method<State>...) -> [Method<State>] { methods }
  }
}

/// A method on bytes; made by `Command`, `Query` and `Watch`.
public struct Method<State: ReplicatedService>: Sendable {
  enum Body: Sendable {
    case command(CommandBody<State>)
    case query(@Sendable (borrowing State, RawSpan, QueryContext) throws(CallStatus) -> [UInt8])
    case watch(@Sendable (RawSpan) throws(CallStatus) -> WatchBody<State>)
  }

  @usableFromInline let name: String
  let types: MessageTypes
  let isLong: Bool
  let body: Body

  var fullName: String { "\(State.schema.name)/\(name)" }

  var kind: MethodKind {
    switch body {
    case .command: .command
    case .query: .query
    case .watch: .stream
    }
  }
}

/// The messages that a function takes and gives, to be compared with the schema's.
@usableFromInline
struct MessageTypes: Sendable {
  let request: String
  let reply: String
  /// Does this decode as the request?
  let check: @Sendable (RawSpan) throws(CallStatus) -> Void

  @inlinable
  init<Request: SwiftProtobuf.Message, Reply: SwiftProtobuf.Message>(_: Request.Type, _: Reply.Type) {
    self.init(Request.protoMessageName, Reply.protoMessageName) { bytes throws(CallStatus) in
      _ = try decoded(Request.self, bytes)
    }
  }

  @usableFromInline
  init(
    _ request: String, _ reply: String, _ check: @escaping @Sendable (RawSpan) throws(CallStatus) -> Void
  ) {
    self.request = request
    self.reply = reply
    self.check = check
  }
}

@inlinable
func recorded(_ error: any Error) -> CallStatus {
  error as? CallStatus ?? CallStatus(.unknown, "the service failed with an error that is no CallStatus")
}

/// The texts are this module's own: a reply is recorded, and must not change with the library's wording.
@inlinable
package func decoded<Request: SwiftProtobuf.Message>(
  _: Request.Type, _ bytes: RawSpan
) throws(CallStatus) -> Request {
  var request = Request()
  let isDecoded = bytes.withUnsafeBytes { bytes in
    var decoder = PlainDecoder(bytes)
    return (try? request.decodeMessage(decoder: &decoder)) != nil
  }
  if isDecoded, request.isInitialized { return request }
  do {
    return try Request(serializedBytes: bytes)
  } catch {
    throw CallStatus(.invalidArgument, "the request is not a \(Request.protoMessageName)")
  }
}

/// The message's bytes, with the entries of maps in a fixed order: the same for equal messages on every replica.
@inlinable
func stableBytes<Reply: SwiftProtobuf.Message>(of reply: Reply) throws(CallStatus) -> [UInt8] {
  var encoder = PlainEncoder()
  if reply.isInitialized, (try? reply.traverse(visitor: &encoder)) != nil { return encoder.bytes }
  var options = BinaryEncodingOptions()
  options.useDeterministicOrdering = true
  do {
    return try reply.serializedBytes(options: options)
  } catch {
    throw CallStatus(.internal, "the \(Reply.protoMessageName) could not be encoded: a required field is not set")
  }
}
