/// Turns messages in memory into JSON. Depth needs no watch here: the scan before unpacking bounded it.
struct MessageDecoder {
  let graph: TypeGraph
  private let options: JSONOptions
  private let arena: Arena
  private var budget: Int
  var path: FieldPath

  init(_ graph: TypeGraph, _ root: Int, _ options: JSONOptions, _ arena: Arena, budget: Int) {
    self.graph = graph
    self.options = options
    self.arena = arena
    self.budget = budget
    self.path = FieldPath(graph.messages[root].schema.fullName)
  }

  func failure(_ reason: String) -> ReflectionError { path.failure(.bytes, reason) }

  private mutating func spend() throws(ReflectionError) {
    budget -= 1
    guard budget >= 0 else { throw failure("the message becomes more JSON values than are allowed for its length") }
  }

  mutating func message(_ memory: MessageMemory, as position: Int) throws(ReflectionError) -> JSONValue {
    try spend()
    let info = graph.messages[position]
    if let wellKnown = info.wellKnown { return try self.wellKnown(wellKnown, info, memory) }
    var members: [JSONValue.Member] = []
    for field in info.fields {
      path.enter(field: field.jsonName)
      if let value = try value(of: field, in: memory) {
        members.append(JSONValue.Member(key: options.usesProtoNames ? field.name : field.jsonName, value: value))
      }
      path.leave()
    }
    return .object(members)
  }

  /// `nil` when the field is not shown.
  private mutating func value(of field: FieldInfo, in memory: MessageMemory) throws(ReflectionError) -> JSONValue? {
    if field.isRepeated {
      guard memory.count(field.slot) > 0 || options.includesDefaults else { return nil }
      return field.isMap ? try map(field, in: memory) : try elements(field, in: memory)
    }
    let place = memory.value(field.slot)
    switch field.presence {
    case .implicit:
      // A NullValue of whatever number is null, and null is read as absent.
      guard options.includesDefaults || !(field.type.isDefault(at: place) || isNull(field)) else { return nil }
    case .explicit, .oneof:
      guard memory.has(field.slot) else { return nil }
    case .required:
      guard memory.has(field.slot) else { throw failure("the field is required, but missing") }
    }
    return try value(of: field, at: place)
  }

  private func isNull(_ field: FieldInfo) -> Bool { field.enumeration.map { graph.enums[$0].isNull } ?? false }

  mutating func elements(_ field: FieldInfo, in memory: MessageMemory) throws(ReflectionError) -> JSONValue {
    try spend()
    var elements: [JSONValue] = []
    elements.reserveCapacity(memory.count(field.slot))
    for (position, place) in memory.elements(field.slot).enumerated() {
      path.enter(element: position)
      elements.append(try value(of: field, at: place))
      path.leave()
    }
    return .array(elements)
  }

  /// Sorted by key: the order on the wire means nothing, and often is another each time.
  mutating func map(_ field: FieldInfo, in memory: MessageMemory) throws(ReflectionError) -> JSONValue {
    try spend()
    guard let entryType = field.message, let key = graph.messages[entryType].field(numbered: 1),
      let value = graph.messages[entryType].field(numbered: 2)
    else { return [:] }
    var values: [MapKey: JSONValue] = [:]
    for (position, place) in memory.elements(field.slot).enumerated() {
      guard let entry = memory.submessage(at: place) else { continue }
      path.enter(element: position)
      let name = try mapKey(key, at: entry.value(key.slot))
      path.leave()
      path.enter(key: name.text)
      // Of two entries with one key, the last one counts.
      values[name] = try mapValue(value, in: entry)
      path.leave()
    }
    return .object(values.sorted { $0.key < $1.key }.map { JSONValue.Member(key: $0.key.text, value: $0.value) })
  }

  private mutating func mapValue(_ field: FieldInfo, in entry: MessageMemory) throws(ReflectionError) -> JSONValue {
    // An entry without a value has the default one, which for a message is the empty one.
    if let type = field.message, !entry.has(field.slot) {
      return try message(try arena.message(graph.table.layouts[type]), as: type)
    }
    return try value(of: field, at: entry.value(field.slot))
  }

  mutating func value(
    of field: FieldInfo, at place: UnsafeMutableRawPointer
  ) throws(ReflectionError) -> JSONValue {
    if let type = field.message {
      guard let memory = MessageMemory(base: place).submessage(at: place) else { return .null }
      return try message(memory, as: type)
    }
    try spend()
    return try scalar(field, at: place)
  }
}
