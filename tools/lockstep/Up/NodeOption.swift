import ArgumentParser

/// A flag for one node of several: `2:--retain=1GiB`.
struct NodeOption: Equatable, Sendable, ExpressibleByArgument {
  let node: Int
  let flag: String

  /// What `lockstep up` gives each node by itself.
  private static let taken = [
    "--id", "--dir", "--listen", "--peer-listen", "--members", "--leader", "--cluster", "--stop-on-stdin-close",
    "--service", "--moved-directory", "--replace-disk",
  ]

  init?(argument: String) {
    guard let colon = argument.firstIndex(of: ":"), let node = Int(argument[..<colon]) else { return nil }
    flag = String(argument[argument.index(after: colon)...])
    guard flag.hasPrefix("--"), flag.count > 2 else { return nil }
    self.node = node
  }

  var name: String { Self.name(of: flag) }
  static func name(of flag: String) -> String { String(flag.prefix { $0 != "=" }) }

  /// Why this cannot be, in a cluster of so many nodes; or nil.
  func problem(nodes: Int) -> String? {
    if !(1...nodes).contains(node) {
      return "--node-option \(node):\(flag): node \(node) is none of the nodes 1 to \(nodes)"
    }
    return Self.taken.contains(name)
      ? "--node-option \(node):\(flag): 'lockstep up' gives \(name) to each node itself" : nil
  }
}
