@testable import LockstepReflection

/// JSON that fits a message type as a rule, made of the bytes of an input: what a person would never write, too.
struct JSONScript {
  let graph: TypeGraph
  var input: FuzzInput
  /// Values that may still be made.
  private var budget = 60

  init(_ graph: TypeGraph, _ input: FuzzInput) {
    self.graph = graph
    self.input = input
  }

  mutating func message(_ position: Int, depth: Int = 0) -> JSONValue {
    let info = graph.messages[position]
    if let wellKnown = info.wellKnown { return self.wellKnown(wellKnown, info, depth) }
    var members: [JSONValue.Member] = []
    var given: Set<Int> = []
    for _ in 0..<input.byte() % 6 where !info.fields.isEmpty {
      let choice = input.byte()
      let place = Int(choice) % info.fields.count
      guard given.insert(place).inserted else { continue }
      let field = info.fields[place]
      let value = field.isRepeated ? list(field, depth) : value(field, depth)
      members.append(JSONValue.Member(key: choice < 200 ? field.jsonName : field.name, value: value))
    }
    return .object(members)
  }

  private mutating func list(_ field: FieldInfo, _ depth: Int) -> JSONValue {
    let count = Int(input.byte() % 4)
    guard field.isMap, let entry = field.message.map({ graph.messages[$0] }), let key = entry.field(numbered: 1),
      let value = entry.field(numbered: 2)
    else { return .array((0..<count).map { _ in self.value(field, depth) }) }
    var object = JSONValue.object([])
    for _ in 0..<count {
      let key = key.type == .string ? text() : key.type == .bool ? "\(input.byte() & 1 == 0)" : number()
      object[key] = self.value(value, depth)
    }
    return object
  }

  private mutating func value(_ field: FieldInfo, _ depth: Int) -> JSONValue {
    budget -= 1
    let choice = input.byte()
    guard choice < 250, budget > 0, depth < 80 else { return choice % 2 == 0 ? .null : .string(text()) }
    switch field.type {
    case .message: return field.message.map { message($0, depth: depth + 1) } ?? .null
    case .bool: return .bool(choice % 2 == 0)
    case .string: return .string(text())
    case .bytes: return .string(choice % 2 == 0 ? Base64.encode(input.take(Int(input.byte() % 8))) : text())
    case .enumeration:
      let values = field.enumeration.map { graph.enums[$0].schema.values } ?? []
      return choice % 2 == 0 || values.isEmpty ? .number(number()) : .string(values[Int(choice) % values.count].name)
    case .double, .float:
      if choice > 240 { return .string(["NaN", "Infinity", "-Infinity", "1e3"][Int(choice) % 4]) }
      return choice % 2 == 0 ? .number(number()) : JSONValue(Double(bitPattern: input.number(UInt64.self)))
    default: return choice % 2 == 0 ? .number(number()) : .string(number())
    }
  }

  private mutating func wellKnown(_ type: WellKnownType, _ info: MessageInfo, _ depth: Int) -> JSONValue {
    switch type {
    case .timestamp, .duration, .fieldMask:
      let seconds = Int64(truncatingIfNeeded: input.number(UInt64.self)) >> Int64(input.byte() % 64)
      let time = SplitTime(seconds: seconds, nanos: Int32(truncatingIfNeeded: input.number(UInt32.self)) >> 2)
      return .string(time.timestampText ?? time.durationText ?? text())
    case .structure, .listValue:
      return info.field(numbered: 1).map { list($0, depth) } ?? .null
    case .wrapper: return info.field(numbered: 1).map { value($0, depth) } ?? .null
    case .value:
      let choice = Int(input.byte())
      return choice % 5 == 0 || info.fields.isEmpty ? .null : value(info.fields[choice % info.fields.count], depth)
    case .any: return .object([])
    }
  }

  private mutating func text() -> String { String(decoding: input.take(Int(input.byte() % 12)), as: UTF8.self) }

  /// In one of the many ways to write one.
  private mutating func number() -> String {
    let (choice, whole) = (input.byte(), Int64(truncatingIfNeeded: input.number(UInt64.self)))
    let value = whole >> Int64(choice % 64)
    return switch choice >> 6 {
    case 0: "\(value)"
    case 1: "\(value).0"
    case 2: "\(value)e\(choice % 4)"
    default: value == 0 ? "-0.0E+7" : "\(value)00E-2"
    }
  }
}
