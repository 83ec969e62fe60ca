import Glibc

/// Ports of this machine for a cluster of its own.
enum FreePorts {
  /// Below those that systems hand out by themselves (32768 on Linux).
  private static let bases = 10_000..<32_000

  /// A base from which `lockstep up` can count: nobody listens on the ports of these nodes and their peers.
  static func base(nodes: Int) throws(CommandFailure) -> Int {
    for _ in 0..<100 {
      let base = Int.random(in: bases)
      let plan = (1...nodes).flatMap { [base + $0, base + LaunchPlan.peerPorts + $0] }
      if plan.allSatisfy(isFree) { return base }
    }
    throw .failed("no \(2 * nodes) free ports were found between \(bases.lowerBound) and \(bases.upperBound)")
  }

  private static func isFree(_ port: Int) -> Bool {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard file >= 0 else { return false }
    defer { close(file) }
    // As a node does: what is left of an old connection is no obstacle.
    var yes: Int32 = 1
    setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 && listen(file, 1) == 0
      }
    }
  }
}
