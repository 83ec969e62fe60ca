import Glibc
import Testing

/// A blocking socket that says what a test wants it to say.
struct RawSocket: Sendable {
  let descriptor: Int32

  struct Failure: Error {
    let call: String
    let code = errno
  }

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw Failure(call: "socket") }
    // So that a broken test fails instead of hanging.
    // A timeval: seconds and microseconds.
    var timeout: (Int, Int) = (20, 0)
    let size = socklen_t(MemoryLayout<(Int, Int)>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, size)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, size)
  }

  /// Connected to 127.0.0.1.
  init(port: Int) throws {
    try self.init()
    try connect(port: port)
  }

  func connect(port: Int) throws {
    try with(port: port) { Glibc.connect(descriptor, $0, $1) }
  }

  /// Listens on a free port, which it answers, with the shortest queue there is.
  func listen() throws -> Int {
    try with(port: 0) { Glibc.bind(descriptor, $0, $1) }
    guard Glibc.listen(descriptor, 0) == 0 else { throw Failure(call: "listen") }
    return try localPort()
  }

  func localPort() throws -> Int {
    var address = sockaddr_in()
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutableBytes(of: &address) { bytes in
      getsockname(descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), &size)
    }
    guard result == 0 else { throw Failure(call: "getsockname") }
    return Int(UInt16(bigEndian: address.sin_port))
  }

  private func with(port: Int, _ call: (UnsafePointer<sockaddr>?, socklen_t) -> Int32) throws {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafeBytes(of: &address) { bytes in
      call(bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
    }
    guard result == 0 else { throw Failure(call: "connect or bind") }
  }

  /// Sends it all; false if the other side does not take it.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes { all in
        Glibc.send(descriptor, all.baseAddress.map { $0 + sent }, all.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  /// Up to `count` bytes, fewer at the end of the stream; nil after a reset or when nothing came for long.
  func receive(_ count: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while bytes.count < count {
      let received = recv(descriptor, &piece, min(piece.count, count - bytes.count), 0)
      guard received >= 0 else { return nil }
      guard received > 0 else { break }
      bytes += piece[..<received]
    }
    return bytes
  }

  /// Whether the other side has ended the connection; waits for it.
  func isEnded() -> Bool {
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let received = recv(descriptor, &piece, piece.count, 0)
      if received == 0 { return true }
      if received < 0 { return errno == ECONNRESET || errno == EPIPE }
    }
  }

  func close() {
    Glibc.close(descriptor)
  }

  /// Closes with a reset instead of an orderly end.
  func reset() {
    var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    close()
  }
}
