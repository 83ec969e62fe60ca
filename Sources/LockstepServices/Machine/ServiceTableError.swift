/// Why services cannot be hosted: what their tables of methods say is not what their schemas say. Found when a node
/// starts, before anything is served.
#if hasAttribute(nonexhaustive)
  @nonexhaustive
#endif
public enum ServiceTableError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The list of services is empty.
  case noService
  /// Two services of the list have the same full name.
  case serviceTwice(service: String)
  /// The schema's bytes are no descriptor set.
  case unreadableSchema(service: String)
  /// The descriptor set describes no service with the full name that `Schema.name` has.
  case notInSchema(service: String)
  /// The schema has methods that the table has not: these, in the schema's order.
  case missingMethods(service: String, methods: [String])
  /// The table names a method that is not in the schema.
  case unknownMethod(service: String, method: String)
  /// The table has more than one entry for a method of the schema.
  case methodTwice(service: String, method: String)
  /// The table has a `Command` for a method that the schema marks with NO_SIDE_EFFECTS.
  case commandForQuery(service: String, method: String)
  /// The table has a `Query` for a method that the schema does not mark with NO_SIDE_EFFECTS.
  case queryForCommand(service: String, method: String)
  /// Streams of requests are not served.
  case streamingMethod(service: String, method: String)
  /// The schema has a stream of events where the table has a `Command` or a `Query`.
  case streamForOne(service: String, method: String)
  /// The table has a `Watch` for a method that gives one answer in the schema.
  case oneForStream(service: String, method: String)
  /// The schema has a stream of events, and does not mark the method with NO_SIDE_EFFECTS.
  case watchWithEffects(service: String, method: String)
  /// The function takes another message than the schema says: `schema` and `function` are their full names.
  case wrongRequest(service: String, method: String, schema: String, function: String)
  /// The function gives another message than the schema says: `schema` and `function` are their full names.
  case wrongReply(service: String, method: String, schema: String, function: String)

  public var description: String {
    switch self {
    case .noService:
      "there is no service to host"
    case .serviceTwice(let service):
      "\(service) is listed twice"
    case .unreadableSchema(let service):
      "the schema of \(service) is not a serialized google.protobuf.FileDescriptorSet"
    case .notInSchema(let service):
      "the schema of \(service) has no service of this name"
    case .missingMethods(let service, let methods):
      methods.map { "\(service)/\($0)" }.joined(separator: ", ")
        + " \(methods.count == 1 ? "is" : "are") in the schema, but not in the table of methods"
    case .unknownMethod(let service, let method):
      "\(service)/\(method) is in the table of methods, but not in the schema"
    case .methodTwice(let service, let method):
      "\(service)/\(method) is in the table of methods twice"
    case .commandForQuery(let service, let method):
      "\(service)/\(method) has idempotency_level = NO_SIDE_EFFECTS in the schema, but is a Command in the table"
    case .queryForCommand(let service, let method):
      "\(service)/\(method) is a Query in the table, but lacks idempotency_level = NO_SIDE_EFFECTS in the schema"
    case .streamingMethod(let service, let method):
      "\(service)/\(method) takes a stream of requests, and those are not served"
    case .streamForOne(let service, let method):
      "\(service)/\(method) returns a stream in the schema, but is no Watch in the table"
    case .oneForStream(let service, let method):
      "\(service)/\(method) is a Watch in the table, but returns no stream in the schema"
    case .watchWithEffects(let service, let method):
      "\(service)/\(method) returns a stream in the schema, but lacks idempotency_level = NO_SIDE_EFFECTS"
    case .wrongRequest(let service, let method, let schema, let function):
      "\(service)/\(method) takes a \(schema) in the schema, but its function takes a \(function)"
    case .wrongReply(let service, let method, let schema, let function):
      "\(service)/\(method) gives a \(schema) in the schema, but its function gives a \(function)"
    }
  }
}
