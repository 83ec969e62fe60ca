public import LockstepExecution

/// A state machine that hosts services: one log, one order, one snapshot for all of them.
///
/// ```swift
/// let machine = try ServiceMachine(services: [KeyValue.self, Counter.self])
/// ```
public struct ServiceMachine: StateMachine {
  /// Where a method is carried out. An object, so that a call does not copy what it does not need.
  private final class Route: Sendable {
    let host: Int
    /// In the host's own list.
    let method: Int
    let fullName: String
    let kind: MethodKind
    let isLong: Bool
    let types: MessageTypes
    let plain: PlainRequest?

    init(_ host: Int, _ number: Int, _ method: HostedMethod, fullName: String, plain: PlainRequest?) {
      self.host = host
      self.method = number
      self.fullName = fullName
      self.plain = plain
      kind = method.kind
      isLong = method.isLong
      types = method.types
    }
  }

  /// In the order of the services' names, so that snapshot and digest do not depend on the order of the list.
  private var hosts: [any HostedService]
  private let names: [String]
  private let routes: [Route]
  private let table: MethodTable

  /// All services in their first state; an error when a service's table of methods is not what its schema says.
  public init(services: [any ReplicatedService.Type]) throws(ServiceTableError) {
    guard !services.isEmpty else { throw .noService }
    hosts = services.map { Self.host($0) }
    hosts.sort { $0.schema.name.utf8.lexicographicallyPrecedes($1.schema.name.utf8) }
    names = hosts.map(\.schema.name)
    for (left, right) in zip(names, names.dropFirst()) where left == right { throw .serviceTwice(service: left) }
    var routes: [Route] = []
    for (place, host) in hosts.enumerated() {
      let messages = try SchemaCheck(host).run(host.schema)
      for (number, method) in host.methods.enumerated() {
        routes.append(
          Route(
            place, number, method, fullName: "\(names[place])/\(method.name)",
            plain: messages.plain(method.types.request)))
      }
    }
    self.routes = routes
    table = MethodTable(routes.map(\.fullName))
  }

  private static func host<State: ReplicatedService>(_: State.Type) -> any HostedService { Host<State>() }

  /// The schemas of the services, in the order of their names.
  public var schemas: [Schema] { hosts.map(\.schema) }

  /// A number made of each service's name and digest: equal when, and for practical purposes only when, all states are.
  public var digest: UInt64 {
    var hasher = StableHasher()
    for (name, host) in zip(names, hosts) {
      hasher.combine(name)
      hasher.combine(host.digest)
    }
    return hasher.finish()
  }

  /// A service's state as it is, or nil when it is not hosted here: for tests.
  public func state<State: ReplicatedService>(of _: State.Type) -> State? {
    for host in hosts {
      if let host = host as? Host<State> { return host.service }
    }
    return nil
  }

  // MARK: Calls

  /// Carries out the commands in order, each by its service, and answers each. One of a method that is not here is
  /// answered with `unimplemented`; a query, and bytes that are not the method's request, with `invalidArgument`.
  public mutating func apply(_ batch: CommandBatch, into replies: inout Replies) {
    var next = 0
    while next < batch.count {
      let first = next
      let place = table.find(batch.method(first))
      let limit = min(batch.count, first + Self.most)
      repeat { next += 1 } while next < limit && table.find(batch.method(next)) == place
      let commands = batch[first..<next]
      if let place {
        hosts[routes[place].host].apply(routes[place].method, commands, into: &replies)
      } else {
        for place in 0..<commands.count { replies.fail(Self.unknown(commands[place].call)) }
      }
    }
  }

  /// Commands of one method that are handed to a service at once: enough to wait for their memory together, and no more
  /// than malloc has places at hand for what was freed last, since all their requests are there at once.
  private static let most = 7

  /// Answers a query by its service, from the state as it is. Throws `unimplemented` when the method is not here,
  /// `invalidArgument` when it is a command or the bytes are not its request, and what the service throws.
  public func query(_ call: MethodCall, _ context: QueryContext) throws(CallStatus) -> [UInt8] {
    let route = try route(call)
    return try hosts[route.host].query(route.method, call.request, context)
  }

  /// What a watch gives to this call. Throws `unimplemented` when the method is not here, `invalidArgument` when it is no watch
  /// or the bytes are not its request, and what the service throws.
  public func stream(_ call: MethodCall) throws(CallStatus) -> MachineStream {
    let route = try route(call)
    let stream = try hosts[route.host].stream(route.method, call.request)
    let (prefix, place) = (Array("\(names[route.host])/".utf8), route.host)
    return MachineStream(
      start: stream.start, events: { $0.method.starts(with: prefix) ? stream.events($0) : [] },
      state: { (machine, context, last) throws(CallStatus) in
        guard let machine = machine as? ServiceMachine else { return [] }
        return try stream.state(machine.hosts[place], context, last)
      }, stateEnd: stream.stateEnd)
  }

  /// Whether the method is a `Query` that was declared with `isLong: true`; false when it is not here.
  public func isLong(_ query: MethodCall) -> Bool { table.find(query.methodBytes).map { routes[$0].isLong } ?? false }

  /// Checks that the method is here and that the bytes decode as its request. Throws `unimplemented` when it is not,
  /// and `invalidArgument`, with the method's name, when they do not.
  public func validate(_ call: MethodCall) throws(CallStatus) {
    let route = try route(call)
    if let plain = route.plain, plain.surelyDecodes(call.requestBytes) { return }
    do throws(CallStatus) {
      try route.types.check(call.request)
    } catch {
      throw CallStatus(error.code, "\(route.fullName): \(error.message)")
    }
  }

  /// Command or query, by the full name "package.Service/Method"; nil when no service here has this method.
  public func kind(ofMethod method: RawSpan) -> MethodKind? {
    method.withUnsafeBytes { table.find($0) }.map { routes[$0].kind }
  }

  private func route(_ call: MethodCall) throws(CallStatus) -> Route {
    guard let place = table.find(call.methodBytes) else { throw Self.unknown(call) }
    return routes[place]
  }

  private static func unknown(_ call: MethodCall) -> CallStatus {
    // Not all of a name of any length: it ends up in replies and logs.
    CallStatus(.unimplemented, "there is no method \(String(decoding: call.methodBytes.prefix(256), as: UTF8.self))")
  }

  // MARK: Snapshots

  /// Grows when that of one of the services does.
  public var version: UInt32 { hosts.reduce(0) { $0 &+ $1.version } }

  /// The states of all services as they are: names and versions first, then each state, in the order of the names.
  public func freeze() -> any Snapshot {
    ServiceSnapshot(zip(names, hosts).map { ServicePart(name: $0, version: $1.version, state: $1.freeze()) })
  }

  /// A machine of the same services with the states of a snapshot. Throws `failedPrecondition` when it has another
  /// format, other services, or a later version of one of them, and `dataLoss` when its bytes are damaged.
  public func restored(from snapshot: inout SnapshotReader) throws(CallStatus) -> ServiceMachine {
    let contents = try ServiceSnapshot.contents(&snapshot)
    guard contents.map(\.name) == names else {
      throw CallStatus(
        .failedPrecondition,
        "the snapshot is of \(Self.list(contents.map(\.name))), and this node hosts \(Self.list(names))")
    }
    var machine = self
    for place in hosts.indices {
      let (name, written) = contents[place]
      do throws(CallStatus) {
        guard written <= hosts[place].version else {
          throw CallStatus(
            .failedPrecondition, "the snapshot is of version \(written), and this node runs \(hosts[place].version)")
        }
        let part = ServicePartSource(snapshot)
        var reader = SnapshotReader(
          "the state of the service", version: written,
          slices: { () throws(CallStatus) -> ArraySlice<UInt8>? in try part.next() })
        machine.hosts[place] = try hosts[place].restored(from: &reader)
        try reader.end()
        snapshot = part.snapshot
      } catch {
        throw CallStatus(error.code, "\(name): \(error.message)")
      }
    }
    return machine
  }

  /// Names of a snapshot may be any: not all of them, of any length, end up in a log.
  private static func list(_ names: [String]) -> String {
    guard !names.isEmpty else { return "no service" }
    let shown = names.prefix(16).map { String(decoding: $0.utf8.prefix(256), as: UTF8.self) }
    return shown.joined(separator: ", ") + (names.count > shown.count ? " and others" : "")
  }
}
