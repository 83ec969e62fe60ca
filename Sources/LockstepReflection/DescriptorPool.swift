/// The services and messages of a FileDescriptorSet, ready to be used: what a cluster offers, as its nodes tell it.
///
/// Immutable; the descriptors for protobuf-c that it builds are freed with the last user.
package final class DescriptorPool: Sendable {
  /// Sorted by name.
  package let services: [ServiceDescriptor]
  let files: [FileSchema]
  let graph: TypeGraph

  /// Reads what `protoc --include_imports --descriptor_set_out` writes. A set without imports will do as long as every
  /// type that is named is in it. Sets are joined by joining their bytes; a file may be there twice when both are the
  /// same.
  package init(fileDescriptorSet bytes: [UInt8]) throws(ReflectionError) {
    let files = try SchemaReader.read(bytes)
    let graph = try TypeGraph(files)
    var services: [ServiceDescriptor] = []
    for file in files {
      for schema in file.services { services.append(try ServiceDescriptor(schema, graph)) }
    }
    self.files = files
    self.graph = graph
    self.services = services.sorted { $0.name < $1.name }
  }

  /// The method that gRPC would call by this name, for example `lockstep.kv.v1.KeyValue/Put`.
  package func method(named name: String) throws(ReflectionError) -> MethodDescriptor {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2 else {
      throw ReflectionError(.symbol, "'\(name)' names no method; a method is named like 'package.Service/Method'")
    }
    let service = try service(named: parts[0])
    if let method = service.methods.first(where: { $0.name == parts[1] }) { return method }
    let names = service.methods.map(\.name)
    throw ReflectionError(
      .symbol,
      "service \(service.name) has no method '\(parts[1])'; "
        + (names.isEmpty ? "it has none" : "it has \(list(names))") + suggestion(for: parts[1], among: names))
  }

  package func service(named name: String) throws(ReflectionError) -> ServiceDescriptor {
    if let service = services.first(where: { $0.name == name }) { return service }
    let names = services.map(\.name)
    // A service is often called by its last name alone.
    let sameLastName = names.first { $0.hasSuffix("." + name) }
    let hint = sameLastName.map { "; did you mean '\($0)'?" } ?? suggestion(for: name, among: names)
    throw ReflectionError(
      .symbol,
      "no service '\(name)'; this cluster offers " + (names.isEmpty ? "none" : list(names)) + hint)
  }

  /// The message type of that full name.
  package func message(named name: String) throws(ReflectionError) -> MessageType {
    guard let position = graph.message(named: name) else {
      throw ReflectionError(.symbol, "no message '\(name)'" + suggestion(for: name, among: graph.messageNames))
    }
    return MessageType(position, graph)
  }
}

func suggestion(for name: String, among candidates: some Sequence<String>) -> String {
  nearest(to: name, among: candidates).map { "; did you mean '\($0)'?" } ?? ""
}

package struct ServiceDescriptor: Sendable {
  /// With its package, for example `lockstep.kv.v1.KeyValue`.
  package let name: String
  /// In the order of the file.
  package let methods: [MethodDescriptor]

  init(_ schema: ServiceSchema, _ graph: TypeGraph) throws(ReflectionError) {
    var methods: [MethodDescriptor] = []
    for method in schema.methods { methods.append(try MethodDescriptor(method, schema.fullName, graph)) }
    self.name = schema.fullName
    self.methods = methods
  }
}

package struct MethodDescriptor: Sendable {
  /// For example `Put`.
  package let name: String
  /// For example `lockstep.kv.v1.KeyValue`.
  package let serviceName: String
  package let input: MessageType
  package let output: MessageType
  /// `idempotency_level = NO_SIDE_EFFECTS`: it never goes through the log.
  package let isQuery: Bool
  package let clientStreaming: Bool
  package let serverStreaming: Bool

  /// As gRPC names it, for example `lockstep.kv.v1.KeyValue/Put`.
  package var fullName: String { "\(serviceName)/\(name)" }

  init(_ schema: MethodSchema, _ service: String, _ graph: TypeGraph) throws(ReflectionError) {
    name = schema.name
    serviceName = service
    input = try Self.type(schema.input, of: "\(service)/\(schema.name)", graph)
    output = try Self.type(schema.output, of: "\(service)/\(schema.name)", graph)
    isQuery = schema.idempotency == .noSideEffects
    clientStreaming = schema.clientStreaming
    serverStreaming = schema.serverStreaming
  }

  private static func type(
    _ name: String, of method: String, _ graph: TypeGraph
  ) throws(ReflectionError) -> MessageType {
    guard let position = graph.message(named: name) else {
      let text = "the descriptor set has no message '\(name)', which \(method) uses"
      throw ReflectionError(.schema, text + " (protoc includes imported files when told --include_imports)")
    }
    return MessageType(position, graph)
  }
}
