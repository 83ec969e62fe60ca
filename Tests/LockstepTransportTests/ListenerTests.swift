import Foundation
import Glibc
import NIOCore
import Testing

@testable import LockstepTransport

@Suite("listeners")
struct ListenerTests {
  @Test("listeners: over the limit connections are closed at once with a reason, and taken again when one has left")
  func connectionLimit() throws {
    var limits = TransportLimits.small
    limits.maximumConnections = 3
    let stage = try Stage(limits: limits)
    let port = try stage.port
    let guests = try (0..<3).map { _ in try RawSocket(port: port) }
    try stage.until { $0.recorder.open.count == 3 }
    let fourth = try RawSocket(port: port)
    #expect(fourth.isEnded())
    try stage.until { $0.recorder.refusals.count == 1 }
    try stage.on { house in
      #expect(house.recorder.refusals == [.tooManyConnections(limit: 3)])
      #expect(house.recorder.opened == 3)
    }
    guests[0].close()
    try stage.until { $0.listener?.connectionCount == 2 }
    let fifth = try RawSocket(port: port)
    try stage.until { $0.recorder.opened == 4 }
    for socket in [fourth, fifth] + guests[1...] { socket.close() }
    try stage.end()
  }

  @Test("listeners: 2,000 connections open, say something and close, half of them rudely")
  func manyConnections() throws {
    let stage = try Stage { house in
      house.recorder.keepsFrames = false
    }
    let port = try stage.port
    for wave in 0..<40 {
      let sockets = try (0..<50).map { _ in try RawSocket(port: port) }
      for (number, socket) in sockets.enumerated() {
        switch number % 4 {
        case 0: socket.send(frame(1, [1, 2, 3]))
        case 1: socket.send(Array("GET / HTTP/1.1\r\n".utf8))
        case 2: socket.send(Array(frame(1, [1, 2, 3])[..<9]))
        default: break
        }
      }
      try stage.until { $0.recorder.opened == 50 * (wave + 1) }
      for (number, socket) in sockets.enumerated() { number % 2 == 0 ? socket.close() : socket.reset() }
      try stage.until { $0.listener?.connectionCount == 0 }
    }
    try stage.on { house in
      #expect(house.recorder.reasons.count == 2000 && house.recorder.open.isEmpty)
      #expect(house.recorder.refusals.isEmpty)
    }
    try stage.end()
  }

  @Test("listeners: close flushes to every connection, frees the port and says when it is done")
  func closes() throws {
    let stage = try Stage()
    let port = try stage.port
    let sockets = try (0..<3).map { _ in try RawSocket(port: port) }
    try stage.until { $0.recorder.open.count == 3 }
    let done = stage.loop.makePromise(of: Int.self)
    try stage.on { house in
      for connection in house.recorder.open { _ = connection.send(kind: 4, count: 0) { _ in } }
      house.listener?.close { done.succeed(house.recorder.reasons.count) }
    }
    for socket in sockets {
      #expect(socket.receive(100) == frame(4, []))
      socket.close()
    }
    #expect(try done.futureResult.wait() == 3)
    try stage.on { house in
      house.listener = nil
      house.bind(port: port)
    }
    try stage.until { $0.listener?.localPort == port }
    try stage.end()
  }

  @Test("listeners: a port that is taken is an error in words")
  func portTaken() throws {
    let stage = try Stage()
    let port = try stage.port
    try stage.on { $0.bind(port: port) }
    try stage.until { $0.bindError != nil }
    try stage.on { #expect($0.bindError?.contains("Address already in use") == true) }
    try stage.end()
  }

  @Test("listeners: without file descriptors they wait, and accept again when there are some")
  func descriptorsExhausted() async {
    // In a process of its own: the limit would hit every other test.
    await #expect(processExitsWith: .success) {
      try Self.exhaustDescriptors()
    }
  }

  private static func exhaustDescriptors() throws {
    let stage = try Stage()
    let port = try stage.port
    let sockets = try (0..<5).map { _ in try RawSocket() }
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { exit(3) }
    let usual = limit.rlim_cur
    // Every number below the limit is in use, but for the two that the first connections are given.
    var fillers: [Int32] = []
    limit.rlim_cur = rlim_t(sockets[4].descriptor) + 8
    guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { exit(4) }
    while case let descriptor = dup(0), descriptor >= 0 { fillers.append(descriptor) }
    for _ in 0..<2 { close(fillers.removeLast()) }
    for socket in sockets { try socket.connect(port: port) }
    try stage.until { $0.recorder.opened == 2 && $0.recorder.acceptFailures > 0 }
    let failures = try stage.on { $0.recorder.acceptFailures }
    guard failures < 5 else { exit(5) }
    limit.rlim_cur = usual
    guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { exit(6) }
    try stage.until { $0.recorder.opened == 5 }
    for socket in sockets { socket.send(frame(1, [1])) }
    try stage.until { $0.recorder.frames.count == 5 }
  }
}
