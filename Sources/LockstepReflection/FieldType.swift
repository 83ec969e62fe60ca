import CProtobufC

/// The type of a field, numbered as descriptor.proto numbers it. Groups (10) are not among them: protobuf-c has none.
enum FieldType: Int32, Sendable {
  case double = 1
  case float = 2
  case int64 = 3
  case uint64 = 4
  case int32 = 5
  case fixed64 = 6
  case fixed32 = 7
  case bool = 8
  case string = 9
  case message = 11
  case bytes = 12
  case uint32 = 13
  case enumeration = 14
  case sfixed32 = 15
  case sfixed64 = 16
  case sint32 = 17
  case sint64 = 18

  /// The type that protobuf-c is told. Strings are told as bytes, which is the same on the wire and keeps NULs and
  /// lengths; enums as int32, which is the same too and needs no enum descriptor.
  var inC: ProtobufCType {
    switch self {
    case .double: PROTOBUF_C_TYPE_DOUBLE
    case .float: PROTOBUF_C_TYPE_FLOAT
    case .int64: PROTOBUF_C_TYPE_INT64
    case .uint64: PROTOBUF_C_TYPE_UINT64
    case .int32, .enumeration: PROTOBUF_C_TYPE_INT32
    case .fixed64: PROTOBUF_C_TYPE_FIXED64
    case .fixed32: PROTOBUF_C_TYPE_FIXED32
    case .bool: PROTOBUF_C_TYPE_BOOL
    case .string, .bytes: PROTOBUF_C_TYPE_BYTES
    case .message: PROTOBUF_C_TYPE_MESSAGE
    case .uint32: PROTOBUF_C_TYPE_UINT32
    case .sfixed32: PROTOBUF_C_TYPE_SFIXED32
    case .sfixed64: PROTOBUF_C_TYPE_SFIXED64
    case .sint32: PROTOBUF_C_TYPE_SINT32
    case .sint64: PROTOBUF_C_TYPE_SINT64
    }
  }

  /// The bytes of one value in an array of protobuf-c. A bool is a C int there.
  var stride: Int {
    switch self {
    case .int32, .enumeration, .fixed32, .bool, .uint32, .sfixed32, .sint32, .float: 4
    case .double, .int64, .uint64, .fixed64, .sfixed64, .sint64, .message: 8
    case .string, .bytes: MemoryLayout<ProtobufCBinaryData>.stride
    }
  }

  var wireType: WireType {
    switch self {
    case .int32, .int64, .uint32, .uint64, .sint32, .sint64, .bool, .enumeration: .varint
    case .double, .fixed64, .sfixed64: .fixed64
    case .float, .fixed32, .sfixed32: .fixed32
    case .string, .bytes, .message: .lengthDelimited
    }
  }

  /// Whether a repeated field of this type may come as one run of values.
  var isPackable: Bool { wireType != .lengthDelimited }

  /// The word for it in .proto text.
  var keyword: String {
    switch self {
    case .enumeration: "enum"
    case .double, .float, .int64, .uint64, .int32, .fixed64, .fixed32, .bool, .string, .message, .bytes, .uint32,
      .sfixed32, .sfixed64, .sint32, .sint64:
      "\(self)"
    }
  }
}

/// How a value lies on the wire. The group markers (3 and 4) are not among them.
enum WireType: UInt8, Sendable {
  case varint = 0
  case fixed64 = 1
  case lengthDelimited = 2
  case fixed32 = 5
}
