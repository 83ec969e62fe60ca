/// A .proto file as its FileDescriptorProto tells it, checked: names are names, numbers are in range, every choice of
/// words that the format leaves open is made.
struct FileSchema: Equatable, Sendable {
  enum Syntax: String, Sendable {
    case proto2
    case proto3
  }

  var name: String
  var package: String
  var syntax: Syntax
  var dependencies: [String]
  var messages: [MessageSchema]
  var enums: [EnumSchema]
  var services: [ServiceSchema]
}

struct MessageSchema: Equatable, Sendable {
  var name: String
  var fullName: String
  var fields: [FieldSchema]
  var oneofs: [String]
  var messages: [MessageSchema]
  var enums: [EnumSchema]
  /// Stands for a `map<…>` field of the message around it.
  var isMapEntry: Bool
}

struct FieldSchema: Equatable, Sendable {
  enum Label: Int32, Sendable {
    case optional = 1
    case required = 2
    case repeated = 3
  }

  var name: String
  var jsonName: String
  var number: UInt32
  var label: Label
  var type: FieldType
  /// The full name of the message or enum, without the leading dot.
  var typeName: String
  /// Of a proto2 field, as text.
  var defaultValue: String?
  /// The oneof that was written in the file; not the one that stands for a proto3 `optional`.
  var oneof: Int?
  /// Absent can be told from the default value.
  var hasPresence: Bool
  var isProto3Optional: Bool
  var isPacked: Bool
  /// The option, when the file states it.
  var packedOption: Bool?
}

struct EnumSchema: Equatable, Sendable {
  struct Value: Equatable, Sendable {
    var name: String
    var number: Int32
  }

  var name: String
  var fullName: String
  var values: [Value]
  var allowsAliases: Bool
}

struct ServiceSchema: Equatable, Sendable {
  var name: String
  var fullName: String
  var methods: [MethodSchema]
}

struct MethodSchema: Equatable, Sendable {
  enum Idempotency: Int32, Sendable {
    case unknown = 0
    case noSideEffects = 1
    case idempotent = 2
  }

  var name: String
  /// Full names, without the leading dot.
  var input: String
  var output: String
  var idempotency: Idempotency
  var clientStreaming: Bool
  var serverStreaming: Bool
}
