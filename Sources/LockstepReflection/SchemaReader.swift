/// Reads the files of a FileDescriptorSet, which may come from anywhere, and refuses what the rest of this module could
/// not rely on.
struct SchemaReader {
  private var declarations = 0

  static func read(_ bytes: [UInt8]) throws(ReflectionError) -> [FileSchema] {
    guard bytes.count <= ReflectionLimits.descriptorSetBytes else {
      let limit = ReflectionLimits.descriptorSetBytes
      throw ReflectionError(.schema, "the descriptor set has \(bytes.count) bytes, more than the \(limit) allowed")
    }
    let table = try DescriptorProto.table()
    let limit = ReflectionLimits.arenaBytes(forMessageOf: bytes.count)
    let arena = Arena(limit: 2 * limit, for: .schema)
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(ReflectionError) in
        let root = DescriptorProto.fileSet
        do throws(ReflectionError) {
          try WireScan.check(bytes, as: root.rawValue, of: table, memoryLimit: limit)
        } catch {
          throw ReflectionError(.schema, error.message)
        }
        guard let memory = arena.unpack(bytes, as: table.layouts[root.rawValue].descriptor) else {
          throw ReflectionError(.schema, "these bytes are no google.protobuf.FileDescriptorSet")
        }
        let record = DescriptorRecord(MessageMemory(base: memory), as: root, of: table)
        var reader = SchemaReader()
        return try reader.files(record)
      }
    }
    return try withExtendedLifetime(arena) { () throws(ReflectionError) in try result.get() }
  }

  private func failure(_ text: String) -> ReflectionError { ReflectionError(.schema, text) }

  private mutating func declare() throws(ReflectionError) {
    declarations += 1
    guard declarations <= ReflectionLimits.declarations else {
      throw failure("the descriptor set declares more than \(ReflectionLimits.declarations) things")
    }
  }

  private mutating func files(_ set: DescriptorRecord) throws(ReflectionError) -> [FileSchema] {
    var files: [FileSchema] = []
    var positions: [ExactText: Int] = [:]
    for record in set.records(1) {
      let file = try self.file(record)
      // Sets are joined by joining their bytes, so a file that two services import is there twice.
      if let known = positions[ExactText(file.name)] {
        guard files[known] == file else { throw failure("file '\(file.name)' is there twice, and not the same") }
      } else {
        positions[ExactText(file.name)] = files.count
        files.append(file)
      }
    }
    return files
  }

  private mutating func file(_ record: DescriptorRecord) throws(ReflectionError) -> FileSchema {
    try declare()
    let name = try record.text(1) ?? ""
    let package = try record.text(2) ?? ""
    let isName = package.isDottedName && package.utf8.count <= ReflectionLimits.fullNameBytes
    guard package.isEmpty || isName else { throw failure("'\(printable(package, limit: 80))' is no package name") }
    // An absent syntax means proto2.
    guard let syntax = FileSchema.Syntax(rawValue: try record.text(12) ?? "proto2") else {
      throw failure("file '\(name)' has syntax '\(try record.text(12) ?? "")'; only proto2 and proto3 can be read")
    }
    var file = FileSchema(
      name: name, package: package, syntax: syntax, dependencies: try record.texts(3), messages: [], enums: [],
      services: [])
    for message in record.records(4) { file.messages.append(try self.message(message, in: package, syntax)) }
    for enumeration in record.records(5) { file.enums.append(try self.enumeration(enumeration, in: package)) }
    for service in record.records(6) { file.services.append(try self.service(service, in: package)) }
    return file
  }

  private mutating func named(
    _ record: DescriptorRecord, _ what: String, in scope: String
  ) throws(ReflectionError) -> (name: String, fullName: String) {
    try declare()
    let name = try record.text(1) ?? ""
    guard name.isProtoName else {
      throw failure("'\(name)' is no name for \(what)" + (scope.isEmpty ? "" : " in \(scope)"))
    }
    let fullName = scope.isEmpty ? name : scope + "." + name
    guard fullName.utf8.count <= ReflectionLimits.fullNameBytes else {
      throw failure("'\(printable(fullName, limit: 80))' is longer than a name may be")
    }
    return (name, fullName)
  }

  private mutating func message(
    _ record: DescriptorRecord, in scope: String, _ syntax: FileSchema.Syntax
  ) throws(ReflectionError) -> MessageSchema {
    let (name, fullName) = try named(record, "a message", in: scope)
    var message = MessageSchema(
      name: name, fullName: fullName, fields: [], oneofs: [], messages: [], enums: [],
      isMapEntry: record.record(7)?.bool(7) ?? false)
    for oneof in record.records(8) { message.oneofs.append(try named(oneof, "a oneof", in: fullName).name) }
    for field in record.records(2) {
      message.fields.append(try self.field(field, in: fullName, message.oneofs.count, syntax))
    }
    for nested in record.records(3) { message.messages.append(try self.message(nested, in: fullName, syntax)) }
    for nested in record.records(4) { message.enums.append(try enumeration(nested, in: fullName)) }
    if message.fields.count != Set(message.fields.map(\.number)).count {
      throw failure("\(fullName) gives one number to two fields")
    }
    if message.fields.count != Set(message.fields.map(\.name)).count {
      throw failure("\(fullName) gives one name to two fields")
    }
    try checkJSONNames(of: message)
    return message
  }

  /// JSON is read by either name of a field and written by its JSON name, so each must lead to one field.
  private func checkJSONNames(of message: MessageSchema) throws(ReflectionError) {
    var owners: [ExactText: String] = [:]
    for field in message.fields { owners[ExactText(field.name)] = field.name }
    for field in message.fields {
      if let other = owners.updateValue(field.name, forKey: ExactText(field.jsonName)), other != field.name {
        let fields = "\(other), \(field.name)"
        throw failure("\(message.fullName) has two fields that are '\(field.jsonName)' in JSON: \(fields)")
      }
    }
  }

  private mutating func field(
    _ record: DescriptorRecord, in message: String, _ oneofs: Int, _ syntax: FileSchema.Syntax
  ) throws(ReflectionError) -> FieldSchema {
    let (name, fullName) = try named(record, "a field", in: message)
    guard let number = UInt32(exactly: record.integer(3) ?? 0), (1...UInt32(1 << 29 - 1)).contains(number) else {
      throw failure("field \(fullName) has the number \(record.integer(3) ?? 0), which is no field number")
    }
    guard let label = FieldSchema.Label(rawValue: record.integer(4) ?? 1) else {
      throw failure("field \(fullName) has the unknown label \(record.integer(4) ?? 0)")
    }
    guard record.integer(5) != 10 else { throw failure("field \(fullName) is a group, which is not supported") }
    guard let type = FieldType(rawValue: record.integer(5) ?? 0) else {
      throw failure("field \(fullName) has the unknown type \(record.integer(5) ?? 0)")
    }
    let isNamed = type == .message || type == .enumeration
    let isProto3Optional = record.bool(17) ?? false
    let oneof = isProto3Optional ? nil : record.integer(9).map(Int.init)
    if let oneof, !(0..<oneofs).contains(oneof) || label != .optional {
      throw failure("field \(fullName) cannot be in oneof \(oneof)")
    }
    let defaultValue = try record.text(7)
    if let defaultValue, type != .string, type != .bytes, !defaultValue.utf8.allSatisfy({ (0x21..<0x7F) ~= $0 }) {
      throw failure("field \(fullName) has a default value that is no \(type.keyword)")
    }
    let packedOption = record.record(8)?.bool(2)
    let jsonName = try record.text(10) ?? name.lowerCamelCase
    return FieldSchema(
      name: name, jsonName: jsonName, number: number, label: label, type: type,
      typeName: isNamed ? try typeName(try record.text(6), of: fullName) : "",
      defaultValue: defaultValue, oneof: oneof,
      hasPresence: label != .repeated
        && (syntax == .proto2 || isProto3Optional || oneof != nil || type == .message),
      isProto3Optional: isProto3Optional,
      isPacked: label == .repeated && type.isPackable && packedOption ?? (syntax == .proto3),
      packedOption: packedOption)
  }

  private func typeName(_ text: String?, of user: String) throws(ReflectionError) -> String {
    let text = text ?? ""
    // Compilers write names in full, with a dot in front; without it the name would have to be searched for.
    guard text.hasPrefix("."), String(text.dropFirst()).isDottedName else {
      throw failure("'\(text)', the type of \(user), is no full type name")
    }
    return String(text.dropFirst())
  }

  private mutating func enumeration(
    _ record: DescriptorRecord, in scope: String
  ) throws(ReflectionError) -> EnumSchema {
    let (name, fullName) = try named(record, "an enum", in: scope)
    var values: [EnumSchema.Value] = []
    for value in record.records(2) {
      values.append(
        EnumSchema.Value(name: try named(value, "an enum value", in: fullName).name, number: value.integer(2) ?? 0))
    }
    return EnumSchema(
      name: name, fullName: fullName, values: values, allowsAliases: record.record(3)?.bool(2) ?? false)
  }

  private mutating func service(
    _ record: DescriptorRecord, in scope: String
  ) throws(ReflectionError) -> ServiceSchema {
    let (name, fullName) = try named(record, "a service", in: scope)
    var methods: [MethodSchema] = []
    var names: Set<String> = []
    for method in record.records(2) {
      let methodName = try named(method, "a method", in: fullName)
      guard names.insert(methodName.name).inserted else {
        throw failure("service \(fullName) has two methods named '\(methodName.name)'")
      }
      methods.append(
        MethodSchema(
          name: methodName.name,
          input: try typeName(try method.text(2), of: methodName.fullName),
          output: try typeName(try method.text(3), of: methodName.fullName),
          // A level that this build does not know promises nothing that it could rely on.
          idempotency: MethodSchema.Idempotency(rawValue: method.record(4)?.integer(34) ?? 0) ?? .unknown,
          clientStreaming: method.bool(5) ?? false, serverStreaming: method.bool(6) ?? false))
    }
    return ServiceSchema(name: name, fullName: fullName, methods: methods)
  }
}
