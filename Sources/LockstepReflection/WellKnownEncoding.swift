extension MessageEncoder {
  /// Fills a message whose JSON form is not an object of its fields. That its fields are the ones expected here, was
  /// checked when the type was found to be well known.
  mutating func wellKnown(
    _ type: WellKnownType, _ json: JSONValue, _ info: MessageInfo, _ memory: MessageMemory, depth: Int
  ) throws(ReflectionError) {
    switch type {
    case .timestamp:
      guard case .string(let text) = json, let time = SplitTime(timestamp: text) else {
        throw mismatch("a timestamp like \"2006-01-02T15:04:05.123Z\"", json)
      }
      try write(time, info, memory, depth: depth)
    case .duration:
      guard case .string(let text) = json, let time = SplitTime(duration: text) else {
        throw mismatch("a duration like \"1.5s\"", json)
      }
      try write(time, info, memory, depth: depth)
    case .fieldMask:
      guard case .string(let text) = json, let paths = FieldMaskText.paths(of: text) else {
        throw mismatch("a field mask like \"user.displayName,photo\"", json)
      }
      try write(.array(paths.map { .string($0) }), 1, info, memory, depth: depth)
    case .wrapper, .structure, .listValue:
      try write(json, 1, info, memory, depth: depth)
    case .value:
      try write(json, kind(of: json), info, memory, depth: depth)
    case .any:
      throw failure("google.protobuf.Any cannot be given as JSON: its content is of no type known here")
    }
  }

  private mutating func write(
    _ json: JSONValue, _ number: UInt32, _ info: MessageInfo, _ memory: MessageMemory, depth: Int
  ) throws(ReflectionError) {
    guard let field = info.field(numbered: number) else { return }
    try write(json, to: field, in: memory, depth: depth)
  }

  private mutating func write(
    _ time: SplitTime, _ info: MessageInfo, _ memory: MessageMemory, depth: Int
  ) throws(ReflectionError) {
    try write(JSONValue(time.seconds), 1, info, memory, depth: depth)
    try write(JSONValue(time.nanos), 2, info, memory, depth: depth)
  }

  /// The member of google.protobuf.Value that holds such a value.
  private func kind(of json: JSONValue) -> UInt32 {
    switch json {
    case .null: 1
    case .number: 2
    case .string: 3
    case .bool: 4
    case .object: 5
    case .array: 6
    }
  }
}
