/// Where in a message something went wrong.
struct FieldPath {
  private enum Step {
    case field(String)
    case element(Int)
    case key(String)
  }

  private let root: String
  private var steps: [Step] = []

  init(_ root: String) { self.root = root }

  mutating func enter(field name: String) { steps.append(.field(name)) }

  mutating func enter(element position: Int) { steps.append(.element(position)) }

  mutating func enter(key: String) { steps.append(.key(key)) }

  mutating func leave() { steps.removeLast() }

  /// For example: field 'items[2].key' of pkg.PutRequest: expected a string, found number 5
  func failure(_ kind: ReflectionError.Kind, _ reason: String) -> ReflectionError {
    var place = ""
    for step in steps {
      switch step {
      case .field(let name): place += (place.isEmpty ? "" : ".") + name
      case .element(let position): place += "[\(position)]"
      case .key(let key): place += "[\"\(printable(key, limit: 80))\"]"
      }
    }
    return ReflectionError(kind, place.isEmpty ? "\(root): \(reason)" : "field '\(place)' of \(root): \(reason)")
  }
}
