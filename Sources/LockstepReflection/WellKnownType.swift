/// The messages of google.protobuf that have a JSON form of their own.
enum WellKnownType: Sendable {
  case timestamp
  case duration
  case fieldMask
  /// StringValue, Int64Value and the like: the bare value.
  case wrapper
  case structure
  case value
  case listValue
  case any

  /// A schema from elsewhere may give these names to anything, so the fields are looked at too. What only has the name
  /// is a message like any other.
  init?(_ schema: MessageSchema, _ fields: [FieldInfo]) {
    guard schema.fullName.hasPrefix("google.protobuf.") else { return nil }
    let found: (type: Self, fields: [Expected])
    switch schema.name {
    case "Timestamp": found = (.timestamp, [Expected(1, .int64), Expected(2, .int32)])
    case "Duration": found = (.duration, [Expected(1, .int64), Expected(2, .int32)])
    case "FieldMask": found = (.fieldMask, [Expected(1, .string, isRepeated: true)])
    case "DoubleValue": found = (.wrapper, [Expected(1, .double)])
    case "FloatValue": found = (.wrapper, [Expected(1, .float)])
    case "Int64Value": found = (.wrapper, [Expected(1, .int64)])
    case "UInt64Value": found = (.wrapper, [Expected(1, .uint64)])
    case "Int32Value": found = (.wrapper, [Expected(1, .int32)])
    case "UInt32Value": found = (.wrapper, [Expected(1, .uint32)])
    case "BoolValue": found = (.wrapper, [Expected(1, .bool)])
    case "StringValue": found = (.wrapper, [Expected(1, .string)])
    case "BytesValue": found = (.wrapper, [Expected(1, .bytes)])
    case "Struct": found = (.structure, [Expected(1, .message, isRepeated: true, isMap: true)])
    case "ListValue": found = (.listValue, [Expected(1, .message, isRepeated: true)])
    case "Any": found = (.any, [Expected(1, .string), Expected(2, .bytes)])
    case "Value":
      let kinds: [FieldType] = [.enumeration, .double, .string, .bool, .message, .message]
      found = (.value, kinds.enumerated().map { Expected(UInt32($0.offset) + 1, $0.element, presence: .oneof(0)) })
    default: return nil
    }
    guard schema.fullName == "google.protobuf.\(schema.name)",
      fields.sorted(by: { $0.slot.shape.number < $1.slot.shape.number }).map(Expected.init) == found.fields
    else { return nil }
    self = found.type
  }

  private struct Expected: Equatable {
    let number: UInt32
    let type: FieldType
    let isRepeated: Bool
    let isMap: Bool
    let presence: FieldInfo.Presence

    init(
      _ number: UInt32, _ type: FieldType, isRepeated: Bool = false, isMap: Bool = false,
      presence: FieldInfo.Presence = .implicit
    ) {
      self.number = number
      self.type = type
      self.isRepeated = isRepeated
      self.isMap = isMap
      self.presence = presence
    }

    init(_ field: FieldInfo) {
      number = field.slot.shape.number
      type = field.type
      isRepeated = field.isRepeated
      isMap = field.isMap
      presence = field.presence
    }
  }
}
