import LockstepReflection
import LockstepSimulation

/// A history as it was recorded: JSON lines, a call and its return each on one of their own.
///
///     {"t":12,"client":1,"id":7,"event":"call","op":"put","key":"a","args":["x"]}
///     {"t":15,"id":7,"event":"return","ok":true,"value":null}
///
/// `ok` false: certainly not applied. null, or no return at all: unknown, it may take effect any time later. Arguments:
/// put VALUE, get, cas EXPECTED NEW (null: only if there is nothing), delete, add NUMBER, append TEXT. Looked at in a
/// return: the value of get (null for nothing), of cas (true or false), and of add (the sum, when it is there).
struct RecordedHistory {
  struct Recorded {
    var client: Int
    var key: String
    var operation: RegisterModel.Operation
    var called: UInt64
    var returned: UInt64?
    var isApplied = true
    var isOpen = true
    var line: Int
  }

  struct Malformed: Error, Equatable, CustomStringConvertible {
    let line: Int
    let reason: String
    var description: String { "line \(line): \(reason)" }
  }

  private(set) var operations: [Recorded] = []
  private var places: [Int: Int] = [:]
  private var lastTime: UInt64 = 0
  private var line = 0

  mutating func take(_ bytes: [UInt8]) throws(Malformed) {
    line += 1
    guard bytes.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0d }) else { return }
    let json: JSONValue
    do throws(JSONSyntaxError) { json = try JSONValue(parsing: bytes) } catch {
      throw malformed("not JSON: column \(error.column): \(error.reason)")
    }
    guard json.object != nil else { throw malformed("not a JSON object") }
    guard let time = json["t"]?.uint64 else { throw malformed("\"t\" must be a time in nanoseconds, a whole number") }
    guard time >= lastTime else { throw malformed("\"t\" goes back from \(lastTime) to \(time)") }
    lastTime = time
    guard let id = json["id"]?.int else { throw malformed("\"id\" must be a whole number") }
    switch json["event"]?.string {
    case "call": try call(json, id, time)
    case "return": try end(json, id, time)
    default: throw malformed("\"event\" must be \"call\" or \"return\"")
    }
  }

  private func malformed(_ reason: String) -> Malformed { Malformed(line: line, reason: reason) }

  private mutating func call(_ json: JSONValue, _ id: Int, _ time: UInt64) throws(Malformed) {
    guard places[id] == nil else { throw malformed("a second call with id \(id)") }
    guard let client = json["client"]?.int else { throw malformed("\"client\" must be a whole number") }
    guard let key = json["key"]?.string else { throw malformed("\"key\" must be a text") }
    let operation = try operation(json)
    places[id] = operations.count
    operations.append(Recorded(client: client, key: key, operation: operation, called: time, line: line))
  }

  private func operation(_ json: JSONValue) throws(Malformed) -> RegisterModel.Operation {
    guard let name = json["op"]?.string else { throw malformed("\"op\" must be a text") }
    let counts = ["put": 1, "get": 0, "cas": 2, "delete": 0, "add": 1, "append": 1]
    guard let count = counts[name] else {
      throw malformed("unknown operation \"\(name)\"; there are put, get, cas, delete, add and append")
    }
    let arguments: [JSONValue]
    if let given = json["args"] {
      guard let array = given.array else { throw malformed("\"args\" must be a list") }
      arguments = array
    } else {
      arguments = []
    }
    guard arguments.count == count else {
      throw malformed("\(name) takes \(count) arguments, here are \(arguments.count)")
    }
    switch name {
    case "put": return .put(try text(arguments[0], name))
    case "get": return .get(.unknown)
    case "cas":
      let expected = arguments[0].isNull ? nil : try text(arguments[0], name)
      return .compareAndSet(expected: expected, try text(arguments[1], name), .unknown)
    case "delete": return .delete
    case "append": return .append(try text(arguments[0], name))
    default:
      guard let delta = arguments[0].int ?? arguments[0].string.flatMap({ Int($0) }) else {
        throw malformed("add takes a whole number")
      }
      return .add(Int64(delta), sum: .unknown)
    }
  }

  private func text(_ value: JSONValue, _ name: String) throws(Malformed) -> String {
    guard let text = value.string else { throw malformed("\(name) takes texts") }
    return text
  }

  private mutating func end(_ json: JSONValue, _ id: Int, _ time: UInt64) throws(Malformed) {
    guard let place = places[id] else { throw malformed("a return with id \(id), which was not called") }
    guard operations[place].isOpen else { throw malformed("a second return with id \(id)") }
    guard let ok = json["ok"], ok.isNull || ok.bool != nil else {
      throw malformed("\"ok\" must be true, false or null")
    }
    operations[place].isOpen = false
    guard let isApplied = ok.bool else { return }
    guard isApplied else {
      operations[place].isApplied = false
      return
    }
    operations[place].returned = time
    let value = json["value"] ?? .null
    switch operations[place].operation {
    case .get:
      guard value.isNull || value.string != nil else { throw malformed("the value of a get must be a text or null") }
      operations[place].operation = .get(.value(value.string))
    case .compareAndSet(let expected, let new, _):
      guard let swapped = value.bool ?? value.string.flatMap({ Bool($0) }) else {
        throw malformed("the value of a cas must be true or false: whether it swapped")
      }
      operations[place].operation = .compareAndSet(expected: expected, new, swapped ? .yes : .no)
    case .add(let delta, _):
      if !value.isNull {
        guard let sum = value.string ?? value.int.map(String.init) else {
          throw malformed("the value of an add must be the sum")
        }
        operations[place].operation = .add(delta, sum: .value(sum))
      }
    case .put, .delete, .append: break
    }
  }

  /// By key, in the order in which keys came up; what was certainly not applied is left out.
  var byKey: [(key: String, operations: [Recorded])] {
    // Two keys are the same if their bytes are: as dictionary keys, strings are the same if they look so.
    var places: [[UInt8]: Int] = [:]
    var found: [(key: String, operations: [Recorded])] = []
    for operation in operations where operation.isApplied {
      let bytes = Array(operation.key.utf8)
      let place = places[bytes] ?? found.count
      if place == found.count {
        places[bytes] = place
        found.append((operation.key, []))
      }
      found[place].operations.append(operation)
    }
    return found
  }
}

extension RegisterModel.Operation {
  var words: String {
    func quoted(_ text: String?) -> String { text.map { JSONValue($0).text() } ?? "null" }
    func answer(_ answer: RegisterModel.Answer) -> String {
      if case .value(let value) = answer { " -> \(quoted(value))" } else { "" }
    }
    switch self {
    case .put(let value): return "put \(quoted(value))"
    case .get(let read): return "get" + answer(read)
    case .compareAndSet(let expected, let value, let swapped):
      let outcome =
        switch swapped {
        case .unknown: ""
        case .yes: " -> swapped"
        case .no: " -> not swapped"
        }
      return "cas \(quoted(expected)) to \(quoted(value))\(outcome)"
    case .delete: return "delete"
    case .add(let delta, let sum): return "add \(delta)" + answer(sum)
    case .append(let text): return "append \(quoted(text))"
    }
  }
}
