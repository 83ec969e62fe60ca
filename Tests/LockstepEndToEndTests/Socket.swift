import Glibc

/// Plain TCP on the loopback interface, with a bound on every wait.
enum Socket {
  static func connect(port: Int) throws -> Int32 {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard file >= 0 else { throw Failure("no socket: errno \(errno)") }
    // A timeval: seconds and microseconds.
    var patience: (Int, Int) = (5, 0)
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<(Int, Int)>.size))
    setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<(Int, Int)>.size))
    guard withAddress(port, { Glibc.connect(file, $0, $1) }) == 0 else {
      let code = errno
      close(file)
      throw Failure("port \(port) cannot be reached: \(String(cString: strerror(code)))")
    }
    return file
  }

  static func listen(port: Int) throws -> Int32 {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard file >= 0 else { throw Failure("no socket: errno \(errno)") }
    guard withAddress(port, { bind(file, $0, $1) }) == 0, Glibc.listen(file, 8) == 0 else {
      close(file)
      throw Failure("port \(port) is taken")
    }
    return file
  }

  /// What it takes may be less: hostile connections are closed in the middle.
  @discardableResult
  static func send(_ file: Int32, _ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.send(file, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// What comes next, at most 64 KiB; empty at the end, or when nothing comes.
  static func receive(_ file: Int32) -> [UInt8] {
    var part = [UInt8](repeating: 0, count: 1 << 16)
    let count = recv(file, &part, part.count, 0)
    return count > 0 ? Array(part[..<count]) : []
  }

  private static func withAddress(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port)).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
  }
}
