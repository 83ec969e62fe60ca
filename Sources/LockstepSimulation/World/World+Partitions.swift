// Ways that are cut, and open again.

extension World {
  func block(_ from: Int, _ to: Int) {
    guard from != to, !blocked[pair(from, to)] else { return }
    blocked[pair(from, to)] = true
    for connection in connections where connection.from == from && connection.to == to {
      if networkRandom.oneIn(2) {
        plan(.tireOf(connection), in: 200_000_000 + UInt64(networkRandom.below(5_000_000_000)))
      }
    }
  }

  func unblock(_ from: Int, _ to: Int) {
    guard blocked[pair(from, to)] else { return }
    blocked[pair(from, to)] = false
    for connection in connections where connection.from == from && connection.to == to {
      let held = connection.held
      connection.held = []
      for bytes in held { transmit(bytes, over: connection) }
    }
  }
}
