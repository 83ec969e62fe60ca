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
    var timeout: (Int, Int) = (5, 0)
    let size = socklen_t(MemoryLayout<(Int, Int)>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, size)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, size)
  }

  /// Connected to 127.0.0.1.
  init(port: Int) throws {
    try self.init()
    guard withLoopback(port, { Glibc.connect(descriptor, $0, $1) }) else { throw Failure(call: "connect") }
  }

  /// Listens on a free port, which it answers.
  func listen() throws -> Int {
    let port = FreePorts.next()
    guard bindLoopback(descriptor, port), Glibc.listen(descriptor, 8) == 0 else { throw Failure(call: "listen") }
    return port
  }

  /// Sends what the other side takes without waiting for it to read.
  func send(_ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes { all in
        Glibc.send(descriptor, all.baseAddress.map { $0 + sent }, all.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      sent += count
    }
  }

  /// Whether the other side has ended the connection; reads and forgets what it says until then.
  func isEnded() -> Bool {
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let received = recv(descriptor, &piece, piece.count, 0)
      if received == 0 { return true }
      if received < 0 { return errno == ECONNRESET || errno == EPIPE }
    }
  }

  func close() { Glibc.close(descriptor) }
}
