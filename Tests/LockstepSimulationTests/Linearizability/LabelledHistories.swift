import Foundation
import LockstepSimulation

/// Histories whose verdicts are known (see Histories/LICENSE.md): Jepsen runs against etcd on one register, and
/// key-value histories.
enum LabelledHistories {
  typealias Operation = TimedOperation<RegisterModel.Operation>

  static var folder: URL { Bundle.module.resourceURL!.appendingPathComponent("Histories") }

  static let names: [String] = {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return all.filter { $0.hasSuffix(".log") || $0.hasPrefix("c01") }.sorted()
  }()

  static let verdicts: [String: Bool] = {
    let text = (try? String(contentsOf: folder.appendingPathComponent("verdicts.txt"), encoding: .utf8)) ?? ""
    var found = ["c01-ok.txt": true, "c01-bad.txt": false]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count == 2 { found[String(words[0])] = words[1] == "true" }
    }
    return found
  }()

  /// By key.
  static func operations(_ name: String) throws -> [String: [Operation]] {
    let text = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
    return name.hasPrefix("c01") ? keyValue(text) : ["register": register(text)]
  }

  private struct Open {
    let key: String
    let operation: RegisterModel.Operation
    let called: UInt64
  }

  /// `INFO jepsen.util - PROCESS :invoke|:ok|:fail|:info :read|:write|:cas VALUE`. A cas that failed was answered: it did
  /// not swap. A read that failed says nothing; `:info` is unknown.
  private static func register(_ text: String) -> [Operation] {
    var open: [Substring: Open] = [:]
    var found: [Operation] = []
    for (time, line) in text.split(separator: "\n").enumerated() {
      guard let start = line.range(of: "jepsen.util - ") else { continue }
      let words = line[start.upperBound...].split(separator: "\t")
      guard words.count >= 4, let process = words.first else { continue }
      let (event, name, value) = (words[1], words[2], String(words[3]))
      if event == ":invoke" {
        let pair = value.split { "[] ".contains($0) }.map(String.init)
        let operation: RegisterModel.Operation =
          switch name {
          case ":read": .get(.unknown)
          case ":write": .put(value)
          default: .compareAndSet(expected: pair[0], pair[1], .unknown)
          }
        open[process] = Open(key: "", operation: operation, called: UInt64(time))
        continue
      }
      guard let call = open.removeValue(forKey: process) else { continue }
      let returned = UInt64(time)
      switch (event, call.operation) {
      case (":ok", .get):
        found.append(Operation(.get(.value(value == "nil" ? nil : value)), called: call.called, returned: returned))
      case (":ok", .compareAndSet(let expected, let new, _)):
        found.append(Operation(.compareAndSet(expected: expected, new, .yes), called: call.called, returned: returned))
      case (":fail", .compareAndSet(let expected, let new, _)):
        found.append(Operation(.compareAndSet(expected: expected, new, .no), called: call.called, returned: returned))
      case (":ok", _): found.append(Operation(call.operation, called: call.called, returned: returned))
      case (":fail", _): break
      default: found.append(Operation(call.operation, called: call.called, returned: nil))
      }
    }
    for call in open.values.sorted(by: { $0.called < $1.called }) {
      found.append(Operation(call.operation, called: call.called, returned: nil))
    }
    return found
  }

  /// `{:process P, :type :invoke|:ok, :f :get|:put|:append, :key "K", :value "V"}`; a key begins as nothing.
  private static func keyValue(_ text: String) -> [String: [Operation]] {
    var open: [String: Open] = [:]
    var found: [String: [Operation]] = [:]
    func part(_ line: Substring, _ name: String) -> String {
      guard let start = line.range(of: "\(name) ") else { return "" }
      let rest = line[start.upperBound...]
      if rest.first == "\"" { return String(rest.dropFirst().prefix { $0 != "\"" }) }
      return String(rest.prefix { $0 != "," && $0 != "}" })
    }
    for (time, line) in text.split(separator: "\n").enumerated() {
      let (process, key, value) = (part(line, ":process"), part(line, ":key"), part(line, ":value"))
      if part(line, ":type") == ":invoke" {
        let operation: RegisterModel.Operation =
          switch part(line, ":f") {
          case ":get": .get(.unknown)
          case ":put": .put(value)
          default: .append(value)
          }
        open[process] = Open(key: key, operation: operation, called: UInt64(time))
        continue
      }
      guard let call = open.removeValue(forKey: process) else { continue }
      var operation = call.operation
      if case .get = operation { operation = .get(.value(value.isEmpty ? nil : value)) }
      found[call.key, default: []].append(Operation(operation, called: call.called, returned: UInt64(time)))
    }
    return found
  }
}
