/// Fills messages in memory from JSON.
struct MessageEncoder {
  let graph: TypeGraph
  let arena: Arena
  var path: FieldPath

  init(_ graph: TypeGraph, _ root: Int, _ arena: Arena) {
    self.graph = graph
    self.arena = arena
    self.path = FieldPath(graph.messages[root].schema.fullName)
  }

  func failure(_ reason: String) -> ReflectionError { path.failure(.json, reason) }

  func mismatch(_ expected: String, _ json: JSONValue) -> ReflectionError {
    failure("expected \(expected), found \(json.summary)")
  }

  mutating func message(
    _ json: JSONValue, as position: Int, depth: Int
  ) throws(ReflectionError) -> MessageMemory {
    guard depth <= ReflectionLimits.depth else {
      throw failure("messages are nested more than \(ReflectionLimits.depth) deep")
    }
    let info = graph.messages[position]
    let memory = try arena.message(graph.table.layouts[position])
    if let wellKnown = info.wellKnown {
      try self.wellKnown(wellKnown, json, info, memory, depth: depth)
    } else {
      try members(json, info, memory, depth: depth)
    }
    return memory
  }

  private mutating func members(
    _ json: JSONValue, _ info: MessageInfo, _ memory: MessageMemory, depth: Int
  ) throws(ReflectionError) {
    guard case .object(let members) = json else { throw mismatch("an object", json) }
    var given: [Int: String] = [:]
    var oneofs: [Int: String] = [:]
    for member in members {
      path.enter(field: member.key)
      guard let position = info.position(named: member.key) else { throw unknownField(member.key, info) }
      let field = info.fields[position]
      if let other = given.updateValue(member.key, forKey: position) {
        throw failure("the field is given twice, the other time as '\(other)'")
      }
      if !member.value.isNull || acceptsNull(field) {
        if case .oneof(let oneof) = field.presence, let other = oneofs.updateValue(member.key, forKey: oneof) {
          let name = info.schema.oneofs[oneof]
          throw failure("oneof '\(name)' can hold one of its members only, and '\(other)' is given too")
        }
        try write(member.value, to: field, in: memory, depth: depth)
      }
      path.leave()
    }
    for field in info.fields where field.presence == .required && !memory.has(field.slot) {
      path.enter(field: field.jsonName)
      throw failure("the field is required, but missing")
    }
  }

  private func unknownField(_ name: String, _ info: MessageInfo) -> ReflectionError {
    let names = info.fields.map(\.jsonName)
    let fields = names.isEmpty ? "it has none" : "it has \(list(names))"
    return failure(
      "\(info.schema.fullName) has no such field; \(fields)"
        + suggestion(for: name, among: names + info.fields.map(\.name)))
  }

  /// Null means absent, but for the types of which it is a value.
  private func acceptsNull(_ field: FieldInfo) -> Bool {
    if field.isRepeated { return false }
    if let message = field.message, case .value = graph.messages[message].wellKnown { return true }
    return field.enumeration.map { graph.enums[$0].isNull } ?? false
  }

  mutating func write(
    _ json: JSONValue, to field: FieldInfo, in memory: MessageMemory, depth: Int
  ) throws(ReflectionError) {
    if field.isMap {
      try writeMap(json, to: field, in: memory, depth: depth)
    } else if field.isRepeated {
      try writeElements(json, to: field, in: memory, depth: depth)
    } else {
      let place = memory.value(field.slot)
      try writeValue(json, of: field, at: place, depth: depth)
      if field.presence != .implicit || !field.type.isDefault(at: place) { memory.setPresent(field.slot) }
    }
  }

  private mutating func writeElements(
    _ json: JSONValue, to field: FieldInfo, in memory: MessageMemory, depth: Int
  ) throws(ReflectionError) {
    guard case .array(let elements) = json else { throw mismatch("an array", json) }
    guard !elements.isEmpty else { return }
    let stride = field.type.stride
    let array = UnsafeMutableRawPointer(try arena.array(of: UInt8.self, count: stride * elements.count))
    for (position, element) in elements.enumerated() {
      path.enter(element: position)
      try writeValue(element, of: field, at: array + position * stride, depth: depth)
      path.leave()
    }
    memory.setElements(field.slot, array, count: elements.count)
  }

  private mutating func writeMap(
    _ json: JSONValue, to field: FieldInfo, in memory: MessageMemory, depth: Int
  ) throws(ReflectionError) {
    guard case .object(let members) = json else { throw mismatch("an object", json) }
    guard !members.isEmpty, let entryType = field.message else { return }
    let info = graph.messages[entryType]
    guard let key = info.field(numbered: 1), let value = info.field(numbered: 2) else { return }
    let entries = try arena.array(of: UnsafeMutableRawPointer.self, count: members.count)
    guard depth < ReflectionLimits.depth else {
      throw failure("messages are nested more than \(ReflectionLimits.depth) deep")
    }
    for (position, member) in members.enumerated() {
      path.enter(key: member.key)
      let entry = try arena.message(graph.table.layouts[entryType])
      try writeKey(member.key, of: key, at: entry.value(key.slot))
      try writeValue(member.value, of: value, at: entry.value(value.slot), depth: depth + 1)
      // An entry always has both of its halves on the wire, defaults or not.
      entry.setPresent(key.slot)
      entry.setPresent(value.slot)
      entries[position] = entry.base
      path.leave()
    }
    memory.setElements(field.slot, UnsafeMutableRawPointer(entries), count: members.count)
  }

  private func writeKey(
    _ text: String, of field: FieldInfo, at place: UnsafeMutableRawPointer
  ) throws(ReflectionError) {
    guard field.type == .bool else { return try writeScalar(.string(text), of: field, at: place) }
    guard text == "true" || text == "false" else { throw failure("a key of this map is \"true\" or \"false\"") }
    try writeScalar(.bool(text == "true"), of: field, at: place)
  }

  private mutating func writeValue(
    _ json: JSONValue, of field: FieldInfo, at place: UnsafeMutableRawPointer, depth: Int
  ) throws(ReflectionError) {
    if let message = field.message {
      place.storeBytes(of: try self.message(json, as: message, depth: depth + 1).base, as: UnsafeMutableRawPointer.self)
    } else {
      try writeScalar(json, of: field, at: place)
    }
  }
}

extension FieldType {
  /// Whether the value is the type's default: every byte of it zero, which a negative zero is not.
  func isDefault(at place: UnsafeMutableRawPointer) -> Bool {
    UnsafeRawBufferPointer(start: place, count: stride).allSatisfy { $0 == 0 }
  }
}

extension JSONValue {
  /// As an error shows it.
  var summary: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(let literal): "number \(printable(literal, limit: 40))"
    case .string(let text): "string \"\(printable(text, limit: 40))\""
    case .array: "an array"
    case .object: "an object"
    }
  }
}
