/// A field as JSON sees it, and where it lies in memory.
struct FieldInfo: Sendable {
  enum Presence: Sendable, Equatable {
    /// Absent and default are one.
    case implicit
    case explicit
    case required
    /// A member of the oneof of that number.
    case oneof(Int)
  }

  let name: String
  let jsonName: String
  let type: FieldType
  let isRepeated: Bool
  let isMap: Bool
  let presence: Presence
  /// Positions in the graph, for fields of message and enum types.
  let message: Int?
  let enumeration: Int?
  let slot: FieldSlot
}

struct MessageInfo: Sendable {
  let schema: MessageSchema
  /// In the order of the file.
  let fields: [FieldInfo]
  let wellKnown: WellKnownType?
  private let positions: [ExactText: Int]

  init(_ schema: MessageSchema, _ fields: [FieldInfo], _ wellKnown: WellKnownType?) {
    self.schema = schema
    self.fields = fields
    self.wellKnown = wellKnown
    var positions: [ExactText: Int] = [:]
    for (position, field) in fields.enumerated() {
      positions[ExactText(field.jsonName)] = position
      positions[ExactText(field.name)] = position
    }
    self.positions = positions
  }

  /// The position of the field that goes by this name in JSON: the lowerCamelCase name, or the one in the file.
  func position(named name: String) -> Int? { positions[ExactText(name)] }

  func field(numbered number: UInt32) -> FieldInfo? { fields.first { $0.slot.shape.number == number } }
}

struct EnumInfo: Sendable {
  let schema: EnumSchema
  private let numbers: [ExactText: Int32]
  private let names: [Int32: String]

  init(_ schema: EnumSchema) {
    self.schema = schema
    self.numbers = Dictionary(schema.values.map { (ExactText($0.name), $0.number) }) { first, _ in first }
    // Of two names for one number, the first is the one that is shown.
    self.names = Dictionary(schema.values.map { ($0.number, $0.name) }) { first, _ in first }
  }

  /// `google.protobuf.NullValue`, whose only value is JSON's null.
  var isNull: Bool { schema.fullName == "google.protobuf.NullValue" }

  func number(named name: String) -> Int32? { numbers[ExactText(name)] }

  func name(numbered number: Int32) -> String? { names[number] }
}

/// All messages and enums of a pool, with the references between them resolved to positions.
final class TypeGraph: Sendable {
  let messages: [MessageInfo]
  let enums: [EnumInfo]
  let table: DescriptorTable
  private let messagePositions: [String: Int]

  init(_ files: [FileSchema]) throws(ReflectionError) {
    var linker = TypeLinker()
    for file in files {
      for message in file.messages { try linker.add(message) }
      for enumeration in file.enums { try linker.add(enumeration) }
      for service in file.services { try linker.claim(service.fullName) }
    }
    let shapes = try linker.shapes()
    let table = try DescriptorTable(shapes)
    self.table = table
    self.enums = linker.enums.map(EnumInfo.init)
    self.messages = linker.messages.enumerated().map { position, schema in
      linker.info(schema, table.layouts[position])
    }
    self.messagePositions = linker.messagePositions
  }

  func message(named name: String) -> Int? { messagePositions[name] }

  var messageNames: [String] { messages.filter { !$0.schema.isMapEntry }.map(\.schema.fullName) }
}

/// Gathers the types of all files, and finds the type that each field names.
private struct TypeLinker {
  private(set) var messages: [MessageSchema] = []
  private(set) var enums: [EnumSchema] = []
  private(set) var messagePositions: [String: Int] = [:]
  private var enumPositions: [String: Int] = [:]
  private var names: Set<String> = []

  mutating func claim(_ name: String) throws(ReflectionError) {
    guard names.insert(name).inserted else {
      throw ReflectionError(.schema, "the descriptor set defines '\(name)' twice")
    }
  }

  mutating func add(_ message: MessageSchema) throws(ReflectionError) {
    try claim(message.fullName)
    messagePositions[message.fullName] = messages.count
    messages.append(message)
    for nested in message.messages { try add(nested) }
    for nested in message.enums { try add(nested) }
  }

  mutating func add(_ enumeration: EnumSchema) throws(ReflectionError) {
    try claim(enumeration.fullName)
    enumPositions[enumeration.fullName] = enums.count
    enums.append(enumeration)
  }

  func shapes() throws(ReflectionError) -> [MessageShape] {
    var shapes: [MessageShape] = []
    for message in messages {
      if message.isMapEntry { try checkMapEntry(message) }
      var fields: [MessageShape.FieldShape] = []
      for field in message.fields { fields.append(try shape(field, in: message)) }
      shapes.append(MessageShape(name: message.fullName, fields: fields))
    }
    return shapes
  }

  private func shape(
    _ field: FieldSchema, in message: MessageSchema
  ) throws(ReflectionError) -> MessageShape.FieldShape {
    let isResolved =
      switch field.type {
      case .message: messagePositions[field.typeName] != nil
      case .enumeration: enumPositions[field.typeName] != nil
      default: true
      }
    guard isResolved else {
      let what = field.type == .message ? "message" : "enum"
      let text = "the descriptor set has no \(what) '\(field.typeName)', the type of \(message.fullName).\(field.name)"
      throw ReflectionError(.schema, text + " (protoc includes imported files when told --include_imports)")
    }
    let cardinality: MessageShape.FieldShape.Cardinality =
      if field.label == .repeated {
        field.isPacked ? .packed : .repeated
      } else if let oneof = field.oneof {
        .oneof(oneof)
      } else {
        .singular
      }
    return MessageShape.FieldShape(
      name: field.name, number: field.number, type: field.type, cardinality: cardinality,
      message: messagePositions[field.typeName])
  }

  private func checkMapEntry(_ entry: MessageSchema) throws(ReflectionError) {
    let fields = entry.fields.sorted { $0.number < $1.number }
    guard fields.map(\.number) == [1, 2], fields.allSatisfy({ $0.label == .optional && $0.oneof == nil }) else {
      throw ReflectionError(.schema, "\(entry.fullName) is marked as a map entry, but is not a key and a value")
    }
    switch fields[0].type {
    case .double, .float, .message, .bytes, .enumeration:
      throw ReflectionError(.schema, "\(entry.fullName) has a key of type \(fields[0].type.keyword), which no map has")
    case .int64, .uint64, .int32, .fixed64, .fixed32, .bool, .string, .uint32, .sfixed32, .sfixed64, .sint32, .sint64:
      return
    }
  }

  func info(_ schema: MessageSchema, _ layout: MessageLayout) -> MessageInfo {
    let fields = schema.fields.compactMap { field -> FieldInfo? in
      guard let slot = layout.slot(numbered: field.number) else { return nil }
      let message = messagePositions[field.typeName]
      let isRepeated = field.label == .repeated
      let presence: FieldInfo.Presence =
        if let oneof = field.oneof {
          .oneof(oneof)
        } else if field.label == .required {
          .required
        } else {
          field.hasPresence ? .explicit : .implicit
        }
      return FieldInfo(
        name: field.name, jsonName: field.jsonName, type: field.type, isRepeated: isRepeated,
        isMap: isRepeated && message.map { messages[$0].isMapEntry } ?? false, presence: presence, message: message,
        enumeration: enumPositions[field.typeName], slot: slot)
    }
    return MessageInfo(schema, fields, WellKnownType(schema, fields))
  }
}
