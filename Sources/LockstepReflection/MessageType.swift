import CProtobufC

/// How a message is written as JSON.
package struct JSONOptions: Sendable {
  /// Show fields that have no presence of their own also at their defaults: zeros, empty strings, lists and maps. Then
  /// `{"found":false}` says so, where the canonical form is `{}`.
  package var includesDefaults = true
  /// Write field names as in the .proto file, in place of lowerCamelCase.
  package var usesProtoNames = false

  package init(includesDefaults: Bool = true, usesProtoNames: Bool = false) {
    self.includesDefaults = includesDefaults
    self.usesProtoNames = usesProtoNames
  }
}

/// A message type of a pool, which it keeps alive. JSON follows the proto3 mapping.
package struct MessageType: Sendable {
  private let position: Int
  private let graph: TypeGraph

  init(_ position: Int, _ graph: TypeGraph) {
    self.position = position
    self.graph = graph
  }

  package var fullName: String { graph.messages[position].schema.fullName }

  /// The bytes of the message that this JSON describes; the same as protoc would write.
  package func encode(_ json: JSONValue) throws(ReflectionError) -> [UInt8] {
    let arena = Arena(limit: ReflectionLimits.encodingArenaBytes, for: .json)
    var encoder = MessageEncoder(graph, position, arena)
    let memory = try encoder.message(json, as: position, depth: 1)
    return try withExtendedLifetime((arena, graph)) { () throws(ReflectionError) in
      let message = UnsafePointer(memory.base.assumingMemoryBound(to: ProtobufCMessage.self))
      let size = protobuf_c_message_get_packed_size(message)
      guard size <= ReflectionLimits.messageBytes else {
        let limit = ReflectionLimits.messageBytes
        throw ReflectionError(.json, "this \(fullName) takes \(size) bytes, more than the \(limit) allowed")
      }
      return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
        count = size == 0 ? 0 : protobuf_c_message_pack(message, buffer.baseAddress)
      }
    }
  }

  package func decode(
    _ bytes: [UInt8], options: JSONOptions = JSONOptions()
  ) throws(ReflectionError) -> JSONValue {
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(ReflectionError) in try decode(bytes, options: options) }
    }
    return try result.get()
  }

  /// The JSON of a message. The bytes may come from anyone: what they are not, or what they would cost beyond the
  /// limits, is an error.
  package func decode(
    _ bytes: UnsafeRawBufferPointer, options: JSONOptions = JSONOptions()
  ) throws(ReflectionError) -> JSONValue {
    guard bytes.count <= ReflectionLimits.messageBytes else {
      let limit = ReflectionLimits.messageBytes
      throw ReflectionError(.bytes, "this \(fullName) has \(bytes.count) bytes, more than the \(limit) allowed")
    }
    let memoryLimit = ReflectionLimits.arenaBytes(forMessageOf: bytes.count)
    try WireScan.check(bytes, as: position, of: graph.table, memoryLimit: memoryLimit)
    // Twice, because the ends of the arena's blocks may go unused.
    let arena = Arena(limit: 2 * memoryLimit, for: .bytes)
    guard let memory = arena.unpack(bytes, as: graph.table.layouts[position].descriptor) else {
      throw ReflectionError(.bytes, "these bytes are no \(fullName)")
    }
    let budget = ReflectionLimits.jsonValues(forMessageOf: bytes.count)
    var decoder = MessageDecoder(graph, position, options, arena, budget: budget)
    return try withExtendedLifetime((arena, graph)) { () throws(ReflectionError) in
      try decoder.message(MessageMemory(base: memory), as: position)
    }
  }
}
