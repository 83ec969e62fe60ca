import Lockstep

/// What is to be run: every node's command line.
struct LaunchPlan: Equatable, Sendable {
  var nodes: Int
  var basePort: Int
  var program: String
  /// The tool itself is told to be a node; a user's own program is nothing else.
  var isOwnProgram: Bool
  var directory: String
  var cluster: String
  var leader: Int?
  /// The directory was moved, as the first start of each node is told.
  var isDirectoryMoved = false
  /// Nodes whose directory is an empty one in place of one that is lost; said at each start, as it is harmless later.
  var replacedDisks: [Int] = []
  /// Further flags of a node, which all get.
  var nodeFlags: [String] = []
  /// What one of them gets beside, and wins where it says something else.
  var ownFlags: [NodeOption] = []

  static let host = "127.0.0.1"
  static let peerPorts = 100

  func endpoint(of node: Int) -> Endpoint { Endpoint(host: Self.host, port: basePort + node) }
  func peerEndpoint(of node: Int) -> Endpoint { Endpoint(host: Self.host, port: basePort + Self.peerPorts + node) }
  var endpoints: [Endpoint] { (1...nodes).map(endpoint) }

  func arguments(of node: Int, isFirstStart: Bool = false) -> [String] {
    (isOwnProgram ? ["node"] : []) + flags(of: node, isFirstStart: isFirstStart)
  }

  func flags(of node: Int, isFirstStart: Bool = false) -> [String] {
    let members = (1...nodes).map { "\($0)=\(peerEndpoint(of: $0))" }.joined(separator: ",")
    var arguments = ["--id", "\(node)", "--dir", "\(directory)/\(node)", "--listen", "\(endpoint(of: node))"]
    arguments += ["--peer-listen", "\(peerEndpoint(of: node))", "--members", members]
    if let leader { arguments += ["--leader", "\(leader)"] }
    if replacedDisks.contains(node) { arguments.append("--replace-disk") }
    if isDirectoryMoved, isFirstStart { arguments.append("--moved-directory") }
    let own = ownFlags.filter { $0.node == node }
    let shared = nodeFlags.filter { flag in !own.contains { $0.name == NodeOption.name(of: flag) } }
    return arguments + shared + own.map(\.flag) + ["--cluster", cluster, "--stop-on-stdin-close"]
  }

  /// What is wrong with the ports, or nil.
  static func portProblem(basePort: Int, nodes: Int) -> String? {
    let above = peerPorts + nodes
    guard basePort >= 1, basePort <= 65_535 - above else {
      return "--base-port \(basePort) with \(nodes) nodes needs ports up to \(above) above it; "
        + "there are those from 1 to 65535"
    }
    return nil
  }
}
