import LockstepExecution
import SwiftProtobuf

/// Holds a service's table of methods against its schema.
struct SchemaCheck {
  private typealias Described = Google_Protobuf_MethodDescriptorProto

  private let service: String
  private let methods: [HostedMethod]

  init(_ host: any HostedService) {
    service = host.schema.name
    methods = host.methods
  }

  /// Returns the messages that the schema describes.
  func run(_ schema: Schema) throws(ServiceTableError) -> SchemaMessages {
    let set: Google_Protobuf_FileDescriptorSet
    do {
      set = try Google_Protobuf_FileDescriptorSet(serializedBytes: schema.descriptorSet)
    } catch {
      throw .unreadableSchema(service: service)
    }
    let described = try describedMethods(set)
    if let method = described.first(where: \.clientStreaming) {
      throw .streamingMethod(service: service, method: method.name)
    }
    let missing = described.map(\.name).filter { name in !methods.contains { $0.name == name } }
    guard missing.isEmpty else { throw .missingMethods(service: service, methods: missing) }
    for method in described {
      let inTable = methods.filter { $0.name == method.name }
      guard inTable.count == 1 else { throw .methodTwice(service: service, method: method.name) }
      try compare(inTable[0], method)
    }
    for entry in methods where !described.contains(where: { $0.name == entry.name }) {
      throw .unknownMethod(service: service, method: entry.name)
    }
    return SchemaMessages(set)
  }

  private func describedMethods(_ set: Google_Protobuf_FileDescriptorSet) throws(ServiceTableError) -> [Described] {
    for file in set.file {
      let package = file.package.isEmpty ? "" : file.package + "."
      for described in file.service where package + described.name == service { return described.method }
    }
    throw .notInSchema(service: service)
  }

  private func compare(_ entry: HostedMethod, _ method: Described) throws(ServiceTableError) {
    if method.serverStreaming != (entry.kind == .stream) {
      throw entry.kind == .stream
        ? .oneForStream(service: service, method: method.name) : .streamForOne(service: service, method: method.name)
    }
    switch (entry.kind, method.options.idempotencyLevel == .noSideEffects) {
    case (.stream, false): throw .watchWithEffects(service: service, method: method.name)
    case (.stream, true): break
    case (.command, true): throw .commandForQuery(service: service, method: method.name)
    case (.query, false): throw .queryForCommand(service: service, method: method.name)
    case (.command, false), (.query, true): break
    }
    // The schema writes full names with a dot in front.
    let request = String(method.inputType.drop { $0 == "." })
    guard request == entry.types.request else {
      throw .wrongRequest(service: service, method: method.name, schema: request, function: entry.types.request)
    }
    let reply = String(method.outputType.drop { $0 == "." })
    guard reply == entry.types.reply else {
      throw .wrongReply(service: service, method: method.name, schema: reply, function: entry.types.reply)
    }
  }
}
