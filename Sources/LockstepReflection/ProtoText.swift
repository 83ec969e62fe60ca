/// Schemas as .proto text, which protoc reads back.
package enum ProtoText {
  /// All files of the pool, but for the ones of google.protobuf, which everyone has.
  package static func describe(_ pool: DescriptorPool) -> String {
    let names = KnownNames(pool.files)
    let own = pool.files.filter { $0.package != "google.protobuf" }
    return (own.isEmpty ? pool.files : own).sorted { $0.name < $1.name }.map { file in
      var writer = ProtoWriter(file, names)
      writer.header(imports: true)
      writer.declarations(file.messages, file.enums)
      for service in file.services { writer.service(service, service.methods) }
      return writer.text
    }.joined(separator: "\n")
  }

  /// One service, message or enum by its full name; or a method (`package.Service/Method`, or with a dot) with the
  /// messages that it takes and returns.
  package static func describe(_ pool: DescriptorPool, symbol: String) throws(ReflectionError) -> String {
    let name = symbol.hasPrefix(".") ? String(symbol.dropFirst()) : symbol
    let known = KnownNames(pool.files)
    for file in pool.files {
      var writer = ProtoWriter(file, known)
      writer.header(imports: false)
      if writer.declare(name) { return writer.text }
    }
    let names = pool.files.flatMap(ProtoSymbols.names(of:))
    if name.contains("/") { _ = try pool.method(named: name) }
    throw ReflectionError(
      .symbol,
      "no symbol '\(symbol)'; this cluster offers \(list(pool.services.map(\.name)))"
        + suggestion(for: name, among: names))
  }
}

/// The names that a file defines.
enum ProtoSymbols {
  static func names(of file: FileSchema) -> [String] {
    file.messages.flatMap(names(of:)) + file.enums.map(\.fullName)
      + file.services.flatMap { service in
        [service.fullName] + service.methods.map { "\(service.fullName)/\($0.name)" }
      }
  }

  static func names(of message: MessageSchema) -> [String] {
    [message.fullName] + message.messages.flatMap(names(of:)) + message.enums.map(\.fullName)
  }
}

/// What a name in .proto text may refer to.
private struct KnownNames {
  let messages: [String: MessageSchema]
  /// Types, services and packages of all files, and the packages around those.
  let names: Set<String>

  init(_ files: [FileSchema]) {
    var known: Set<String> = []
    for other in files {
      known.formUnion(ProtoSymbols.names(of: other))
      var package = Substring(other.package)
      while !package.isEmpty {
        known.insert(String(package))
        package = package.lastIndex(of: ".").map { package[..<$0] } ?? ""
      }
    }
    names = known
    func gather(_ list: [MessageSchema]) -> [MessageSchema] { list + list.flatMap { gather($0.messages) } }
    messages = Dictionary(gather(files.flatMap(\.messages)).map { ($0.fullName, $0) }) { first, _ in first }
  }
}

private struct ProtoWriter {
  private(set) var text = ""
  private let file: FileSchema
  private let known: KnownNames
  private var depth = 0

  init(_ file: FileSchema, _ known: KnownNames) {
    self.file = file
    self.known = known
  }

  private mutating func line(_ content: String = "") {
    text += content.isEmpty ? "\n" : String(repeating: "  ", count: depth) + content + "\n"
  }

  private mutating func block(_ opening: String, _ content: (inout Self) -> Void) {
    line(opening + " {")
    depth += 1
    content(&self)
    depth -= 1
    line("}")
  }

  mutating func header(imports: Bool) {
    line("// \(printable(file.name, limit: 200))")
    line("syntax = \"\(file.syntax.rawValue)\";")
    if !file.package.isEmpty { line("package \(file.package);") }
    if imports, !file.dependencies.isEmpty {
      line()
      for dependency in file.dependencies { line("import \(quoted(dependency));") }
    }
  }

  mutating func declarations(_ messages: [MessageSchema], _ enums: [EnumSchema]) {
    for message in messages where !message.isMapEntry {
      if depth == 0 { line() }
      self.message(message)
    }
    for enumeration in enums {
      if depth == 0 { line() }
      self.enumeration(enumeration)
    }
  }

  /// Whether the file defines that symbol, which then is written.
  mutating func declare(_ name: String) -> Bool {
    for service in file.services {
      if service.fullName == name {
        self.service(service, service.methods)
        return true
      }
      for method in service.methods where ["/", "."].contains(where: { service.fullName + $0 + method.name == name }) {
        self.service(service, [method])
        for type in method.input == method.output ? [method.input] : [method.input, method.output] {
          if let message = known.messages[type] { declarations([message], []) }
        }
        return true
      }
    }
    return declare(name, among: file.messages, file.enums)
  }

  private mutating func declare(_ name: String, among messages: [MessageSchema], _ enums: [EnumSchema]) -> Bool {
    for enumeration in enums where enumeration.fullName == name {
      declarations([], [enumeration])
      return true
    }
    for message in messages {
      if message.fullName == name {
        declarations([message], [])
        return true
      }
      if declare(name, among: message.messages, message.enums) { return true }
    }
    return false
  }

  mutating func service(_ service: ServiceSchema, _ methods: [MethodSchema]) {
    line()
    block("service \(service.name)") { writer in
      for method in methods {
        let input = (method.clientStreaming ? "stream " : "") + writer.reference(method.input, from: service.fullName)
        let output = (method.serverStreaming ? "stream " : "") + writer.reference(method.output, from: service.fullName)
        let head = "rpc \(method.name)(\(input)) returns (\(output))"
        switch method.idempotency {
        case .unknown: writer.line(head + ";")
        case .noSideEffects: writer.line(head + " { option idempotency_level = NO_SIDE_EFFECTS; }")
        case .idempotent: writer.line(head + " { option idempotency_level = IDEMPOTENT; }")
        }
      }
    }
  }

  private mutating func enumeration(_ enumeration: EnumSchema) {
    block("enum \(enumeration.name)") { writer in
      if enumeration.allowsAliases { writer.line("option allow_alias = true;") }
      for value in enumeration.values { writer.line("\(value.name) = \(value.number);") }
    }
  }

  private mutating func message(_ message: MessageSchema) {
    block("message \(message.name)") { writer in
      writer.declarations(message.messages, message.enums)
      let members = Dictionary(grouping: message.fields.filter { $0.oneof != nil }) { $0.oneof }
      var writtenOneofs: Set<Int> = []
      for field in message.fields {
        guard let oneof = field.oneof else {
          writer.line(writer.field(field, in: message))
          continue
        }
        // The members of a oneof stand together, where the first of them stands.
        guard writtenOneofs.insert(oneof).inserted else { continue }
        writer.block("oneof \(message.oneofs[oneof])") { writer in
          for member in members[oneof] ?? [] { writer.line(writer.field(member, in: message)) }
        }
      }
    }
  }

  private func field(_ field: FieldSchema, in message: MessageSchema) -> String {
    var options: [String] = []
    if let text = field.defaultValue {
      switch field.type {
      case .string: options.append("default = \(quoted(text))")
      // This one is stored with its escapes.
      case .bytes: options.append("default = \(quoted(text, escapesBackslash: false))")
      default: options.append("default = \(text)")
      }
    }
    if let packed = field.packedOption { options.append("packed = \(packed)") }
    if !field.jsonName.isSameText(as: field.name.lowerCamelCase) {
      options.append("json_name = \(quoted(field.jsonName))")
    }
    let suffix = options.isEmpty ? "" : " [\(options.joined(separator: ", "))]"
    return "\(label(of: field))\(type(of: field, in: message)) \(field.name) = \(field.number)\(suffix);"
  }

  private func mapEntry(of field: FieldSchema) -> MessageSchema? {
    guard field.label == .repeated, let entry = known.messages[field.typeName], entry.isMapEntry else { return nil }
    return entry
  }

  private func label(of field: FieldSchema) -> String {
    switch field.label {
    case .repeated: mapEntry(of: field) == nil ? "repeated " : ""
    case .required: "required "
    case .optional: field.isProto3Optional || (file.syntax == .proto2 && field.oneof == nil) ? "optional " : ""
    }
  }

  private func type(of field: FieldSchema, in message: MessageSchema) -> String {
    if let entry = mapEntry(of: field), let key = entry.fields.first(where: { $0.number == 1 }),
      let value = entry.fields.first(where: { $0.number == 2 })
    {
      return "map<\(key.type.keyword), \(type(of: value, in: message))>"
    }
    return field.typeName.isEmpty ? field.type.keyword : reference(field.typeName, from: message.fullName)
  }

  /// The shortest way to write a type's name that protoc would take for this type.
  private func reference(_ name: String, from scope: String) -> String {
    var prefix = Substring(scope)
    while !prefix.isEmpty {
      let short = name.dropFirst(prefix.count + 1)
      if name.hasPrefix(prefix + "."), resolve(String(short), from: scope) == name { return String(short) }
      prefix = prefix.lastIndex(of: ".").map { prefix[..<$0] } ?? ""
    }
    return resolve(name, from: scope) == name ? name : "." + name
  }

  /// protoc looks for the first part of a name from the innermost scope outwards, and stays with what it finds.
  private func resolve(_ name: String, from scope: String) -> String? {
    let first = name.prefix { $0 != "." }
    var scope = Substring(scope)
    while true {
      let outer = scope.isEmpty ? "" : scope + "."
      if known.names.contains(outer + first) { return String(outer) + name }
      if scope.isEmpty { return nil }
      scope = scope.lastIndex(of: ".").map { scope[..<$0] } ?? ""
    }
  }

  private func quoted(_ text: String, escapesBackslash: Bool = true) -> String {
    var result = ""
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\"") where escapesBackslash, UInt8(ascii: "\\") where escapesBackslash:
        result += "\\" + String(Unicode.Scalar(byte))
      case 0x20..<0x7F: result += String(Unicode.Scalar(byte))
      // Three octal digits: the one escape that cannot run into what follows.
      default: result += "\\" + [byte >> 6, byte >> 3 & 7, byte & 7].map { String($0) }.joined()
      }
    }
    return "\"\(result)\""
  }
}
