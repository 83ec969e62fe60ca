/// The part of google/protobuf/descriptor.proto that a schema is read from. protobuf-c reads a FileDescriptorSet with
/// these shapes exactly as it reads any other message; all else in the set passes as unknown fields.
enum DescriptorProto: Int, CaseIterable {
  case fileSet
  case file
  case message
  case field
  case oneof
  case enumeration
  case enumValue
  case service
  case method
  case fieldOptions
  case messageOptions
  case enumOptions
  case methodOptions

  private var shape: MessageShape {
    switch self {
    case .fileSet:
      shape("FileDescriptorSet", [records("file", 1, .file)])
    case .file:
      shape(
        "FileDescriptorProto",
        [
          one("name", 1, .string), one("package", 2, .string), many("dependency", 3, .string),
          records("message_type", 4, .message), records("enum_type", 5, .enumeration),
          records("service", 6, .service), one("syntax", 12, .string),
        ])
    case .message:
      shape(
        "DescriptorProto",
        [
          one("name", 1, .string), records("field", 2, .field), records("nested_type", 3, .message),
          records("enum_type", 4, .enumeration), record("options", 7, .messageOptions),
          records("oneof_decl", 8, .oneof),
        ])
    case .field:
      shape(
        "FieldDescriptorProto",
        [
          one("name", 1, .string), one("number", 3, .int32), one("label", 4, .int32), one("type", 5, .int32),
          one("type_name", 6, .string), one("default_value", 7, .string), record("options", 8, .fieldOptions),
          one("oneof_index", 9, .int32), one("json_name", 10, .string), one("proto3_optional", 17, .bool),
        ])
    case .oneof:
      shape("OneofDescriptorProto", [one("name", 1, .string)])
    case .enumeration:
      shape(
        "EnumDescriptorProto",
        [one("name", 1, .string), records("value", 2, .enumValue), record("options", 3, .enumOptions)])
    case .enumValue:
      shape("EnumValueDescriptorProto", [one("name", 1, .string), one("number", 2, .int32)])
    case .service:
      shape("ServiceDescriptorProto", [one("name", 1, .string), records("method", 2, .method)])
    case .method:
      shape(
        "MethodDescriptorProto",
        [
          one("name", 1, .string), one("input_type", 2, .string), one("output_type", 3, .string),
          record("options", 4, .methodOptions), one("client_streaming", 5, .bool), one("server_streaming", 6, .bool),
        ])
    case .fieldOptions: shape("FieldOptions", [one("packed", 2, .bool)])
    case .messageOptions: shape("MessageOptions", [one("map_entry", 7, .bool)])
    case .enumOptions: shape("EnumOptions", [one("allow_alias", 2, .bool)])
    case .methodOptions: shape("MethodOptions", [one("idempotency_level", 34, .int32)])
    }
  }

  static func table() throws(ReflectionError) -> DescriptorTable {
    try DescriptorTable(allCases.map(\.shape))
  }

  private func shape(_ name: String, _ fields: [MessageShape.FieldShape]) -> MessageShape {
    MessageShape(name: "google.protobuf." + name, fields: fields)
  }

  private func one(_ name: String, _ number: UInt32, _ type: FieldType) -> MessageShape.FieldShape {
    MessageShape.FieldShape(name: name, number: number, type: type)
  }

  private func record(_ name: String, _ number: UInt32, _ message: Self) -> MessageShape.FieldShape {
    MessageShape.FieldShape(name: name, number: number, type: .message, message: message.rawValue)
  }

  private func many(_ name: String, _ number: UInt32, _ type: FieldType) -> MessageShape.FieldShape {
    MessageShape.FieldShape(name: name, number: number, type: type, cardinality: .repeated)
  }

  private func records(_ name: String, _ number: UInt32, _ message: Self) -> MessageShape.FieldShape {
    MessageShape.FieldShape(
      name: name, number: number, type: .message, cardinality: .repeated, message: message.rawValue)
  }
}

/// A message of descriptor.proto in memory, read by field numbers.
struct DescriptorRecord {
  private let table: DescriptorTable
  private let layout: MessageLayout
  private let memory: MessageMemory

  init(_ memory: MessageMemory, as type: DescriptorProto, of table: DescriptorTable) {
    self.init(memory, position: type.rawValue, table)
  }

  private init(_ memory: MessageMemory, position: Int, _ table: DescriptorTable) {
    self.memory = memory
    self.layout = table.layouts[position]
    self.table = table
  }

  func text(_ number: UInt32) throws(ReflectionError) -> String? {
    guard let slot = layout.slot(numbered: number), memory.has(slot) else { return nil }
    return try text(slot, at: memory.value(slot))
  }

  func texts(_ number: UInt32) throws(ReflectionError) -> [String] {
    guard let slot = layout.slot(numbered: number) else { return [] }
    var texts: [String] = []
    for place in memory.elements(slot) { texts.append(try text(slot, at: place)) }
    return texts
  }

  func integer(_ number: UInt32) -> Int32? {
    guard let slot = layout.slot(numbered: number), memory.has(slot) else { return nil }
    return memory.value(slot).load(as: Int32.self)
  }

  func bool(_ number: UInt32) -> Bool? { integer(number).map { $0 != 0 } }

  func record(_ number: UInt32) -> DescriptorRecord? {
    guard let slot = layout.slot(numbered: number), let position = slot.shape.message else { return nil }
    return memory.submessage(at: memory.value(slot)).map { DescriptorRecord($0, position: position, table) }
  }

  func records(_ number: UInt32) -> [DescriptorRecord] {
    guard let slot = layout.slot(numbered: number), let position = slot.shape.message else { return [] }
    return memory.elements(slot).compactMap { place in
      memory.submessage(at: place).map { DescriptorRecord($0, position: position, table) }
    }
  }

  private func text(_ slot: FieldSlot, at place: UnsafeMutableRawPointer) throws(ReflectionError) -> String {
    guard let text = memory.text(at: place) else {
      throw ReflectionError(.schema, "the descriptor set has a '\(slot.shape.name)' that is not valid UTF-8")
    }
    return text
  }
}
