extension MessageDecoder {
  /// The JSON form of a well-known message.
  mutating func wellKnown(
    _ type: WellKnownType, _ info: MessageInfo, _ memory: MessageMemory
  ) throws(ReflectionError) -> JSONValue {
    switch type {
    case .timestamp:
      let time = time(info, memory)
      guard let text = time.timestampText else { throw failure("\(time) is no timestamp") }
      return .string(text)
    case .duration:
      let time = time(info, memory)
      guard let text = time.durationText else { throw failure("\(time) is no duration") }
      return .string(text)
    case .fieldMask:
      guard let field = info.field(numbered: 1) else { return .null }
      let paths = try elements(field, in: memory).array ?? []
      guard let text = FieldMaskText.text(of: paths.compactMap(\.string)) else {
        throw failure("a path of the field mask has no JSON form")
      }
      return .string(text)
    case .wrapper:
      guard let field = info.field(numbered: 1) else { return .null }
      return try value(of: field, at: memory.value(field.slot))
    case .structure:
      guard let field = info.field(numbered: 1) else { return .null }
      return try map(field, in: memory)
    case .listValue:
      guard let field = info.field(numbered: 1) else { return .null }
      return try elements(field, in: memory)
    case .value:
      // A value of no kind should not be; null is the nearest to it.
      guard let field = info.fields.first(where: { memory.has($0.slot) }) else { return .null }
      let json = try value(of: field, at: memory.value(field.slot))
      if field.type == .double, case .string = json {
        throw failure("NaN and the infinities cannot be a google.protobuf.Value")
      }
      return json
    case .any:
      throw failure("google.protobuf.Any cannot be shown as JSON: its content is of no type known here")
    }
  }

  private func time(_ info: MessageInfo, _ memory: MessageMemory) -> SplitTime {
    guard let seconds = info.field(numbered: 1), let nanos = info.field(numbered: 2) else {
      return SplitTime(seconds: 0, nanos: 0)
    }
    return SplitTime(
      seconds: memory.value(seconds.slot).load(as: Int64.self), nanos: memory.value(nanos.slot).load(as: Int32.self))
  }
}
