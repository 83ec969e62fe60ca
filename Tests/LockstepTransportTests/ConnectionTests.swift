import NIOCore
import NIOPosix
import Testing

@testable import LockstepTransport

/// Over real sockets on the loopback interface.
@Suite("connections")
struct ConnectionTests {
  /// Answers every frame with itself.
  private static func echo(_ house: House) {
    house.recorder.keepsFrames = false
    house.recorder.onFrame = { connection, kind, payload in
      connection.established()
      _ = connection.send(kind: kind, count: payload.count) { $0.copyMemory(from: payload) }
    }
    house.recorder.onReadCompleted = { $0.flush() }
  }

  @Test("connections: frames of all sizes come back in order, both ways, over a link")
  func echoes() throws {
    let stage = try Stage(prepare: Self.echo)
    let sent = (0..<300).map {
      Received(UInt8($0 % 256), [UInt8](repeating: UInt8($0 % 251), count: $0 * 200 % 65_000))
    }
    try stage.on { house in
      house.dialer.onOpened = { connection in
        connection.established()
        connection.maximumFrameLength = 65_536
      }
      house.dial()
    }
    try stage.until { $0.dialer.opened == 1 }
    for (number, frame) in sent.enumerated() {
      // Never more under way than the echo may have waiting. The first is empty, and within the handshake's limit.
      try stage.until { house in
        guard let connection = house.links[0].connection, house.dialer.frames.count >= number - 2 else { return false }
        let result = connection.send(kind: frame.kind, count: frame.payload.count) { $0.copyBytes(from: frame.payload) }
        connection.flush()
        return result == .queued
      }
    }
    try stage.until { $0.dialer.frames.count == sent.count }
    try stage.on { house in
      let same = house.dialer.frames == sent
      #expect(same)
      #expect(house.links[0].connection?.pendingBytes == 0)
      #expect(house.recorder.open[0].remoteAddress.hasPrefix("127.0.0.1:"))
      #expect(house.dialer.open[0].role == .dialed && house.recorder.open[0].role == .accepted)
      #expect(house.dialer.open[0].id != house.recorder.open[0].id)
    }
    try stage.end()
  }

  @Test("connections: a peer that never reads makes send answer full, and costs the others nothing")
  func neverReads() throws {
    let stage = try Stage(prepare: Self.echo)
    let deaf = try RawSocket(port: stage.port)
    try stage.until { $0.recorder.open.count == 1 }
    let payload = [UInt8](repeating: 7, count: 10_000)
    // More than the kernel takes on both sides, however it is tuned.
    try stage.until { house in
      let connection = house.recorder.open[0]
      connection.established()
      for _ in 0..<100 {
        let result = connection.send(kind: 1, count: payload.count) { $0.copyBytes(from: payload) }
        connection.flush()
        #expect(connection.pendingBytes <= 256 << 10)
        if result == .full { return true }
      }
      return false
    }
    try stage.on { #expect(!$0.recorder.open[0].isWritable && $0.recorder.open[0].pendingBytes > 200_000) }
    let other = try RawSocket(port: stage.port)
    for round in 0..<50 {
      let bytes = frame(UInt8(round), [1, 2, 3])
      other.send(bytes)
      #expect(other.receive(bytes.count) == bytes)
    }
    try stage.on { #expect($0.recorder.writable == 0) }
    // It reads after all: whole frames, and there is room again.
    let whole = frame(1, payload)
    for _ in 0..<10 { #expect(deaf.receive(whole.count) == whole) }
    while try stage.on({ $0.recorder.writable }) == 0 { #expect(deaf.receive(whole.count) == whole) }
    try stage.on { #expect($0.recorder.open[0].isWritable) }
    deaf.close()
    other.close()
    try stage.end()
  }

  @Test("connections: room that a flush makes at once is told too, and not from within the flush")
  func roomAtOnce() throws {
    let stage = try Stage(prepare: Self.echo)
    let raw = try RawSocket(port: stage.port)
    try stage.until { $0.recorder.open.count == 1 }
    try stage.on { house in
      let connection = house.recorder.open[0]
      var queued = 0
      while connection.send(kind: 1, count: 1000, { $0.initializeMemory(as: UInt8.self, repeating: 0) }) == .queued {
        queued += 1
      }
      #expect(queued == (256 << 10) / 1016 && !connection.isWritable)
      connection.flush()
      #expect(house.recorder.writable == 0)
    }
    _ = raw.receive(256_000)
    try stage.until { $0.recorder.writable == 1 }
    raw.close()
    try stage.end()
  }

  @Test("connections: a peer that takes nothing of what waits for it is closed at the deadline")
  func stalls() throws {
    var limits = TransportLimits.small
    limits.stallDeadline = .milliseconds(50)
    let stage = try Stage(limits: limits, Self.echo)
    let deaf = try RawSocket(port: stage.port)
    try stage.until { $0.recorder.open.count == 1 }
    let payload = [UInt8](repeating: 7, count: 60_000)
    try stage.until { house in
      guard let connection = house.recorder.open.first else { return true }
      while connection.send(kind: 1, count: payload.count, { $0.copyBytes(from: payload) }) == .queued {
        connection.flush()
      }
      return !house.recorder.reasons.isEmpty
    }
    try stage.on { house in
      guard case .stalled(.milliseconds(50), let pending) = house.recorder.reasons[0] else {
        Issue.record("\(house.recorder.reasons)")
        return
      }
      #expect(pending > 100_000)
    }
    deaf.close()
    try stage.end()
  }

  @Test("connections: close flushes what was sent first, even when the peer's own bytes lie unread")
  func closeFlushes() throws {
    let stage = try Stage { house in
      house.recorder.onFrame = { connection, _, _ in
        connection.pauseReading()
        let words = Array("wrong cluster".utf8)
        #expect(connection.send(kind: 2, count: words.count) { $0.copyBytes(from: words) } == .queued)
        connection.close(reason: .local("wrong cluster"))
      }
    }
    let raw = try RawSocket(port: stage.port)
    raw.send((0..<2000).flatMap { _ in frame(1, [UInt8](repeating: 1, count: 50)) })
    let refusal = frame(2, Array("wrong cluster".utf8))
    #expect(raw.receive(refusal.count + 1) == refusal, "and then the end of the stream")
    raw.close()
    try stage.until { $0.recorder.reasons == [.local("wrong cluster")] }
    try stage.on { #expect($0.recorder.frames.count == 1) }
    try stage.end()
  }

  @Test("connections: close waits for a peer that never hangs up no longer than its deadline")
  func closeDeadline() throws {
    var limits = TransportLimits.small
    limits.closeDeadline = .milliseconds(50)
    let stage = try Stage(limits: limits)
    let raw = try RawSocket(port: stage.port)
    try stage.until { $0.recorder.open.count == 1 }
    try stage.on { $0.recorder.open[0].close(reason: .local("done")) }
    try stage.until { $0.recorder.reasons == [.local("done")] }
    raw.close()
    try stage.end()
  }

  @Test("connections: without a handshake in time they are closed; with one they stay")
  func handshakeDeadline() throws {
    var limits = TransportLimits.small
    limits.handshakeDeadline = .seconds(1)
    let stage = try Stage(limits: limits) { house in
      house.recorder.onFrame = { connection, _, _ in connection.established() }
    }
    let polite = try RawSocket(port: stage.port)
    polite.send(frame(1, [1]))
    let silent = try RawSocket(port: stage.port)
    #expect(silent.isEnded())
    try stage.until { $0.recorder.reasons.count == 1 }
    try stage.on { house in
      #expect(house.recorder.reasons == [.handshakeDeadline(.seconds(1))])
      #expect(house.recorder.open.count == 1 && house.recorder.open[0].isEstablished)
    }
    silent.close()
    polite.close()
    try stage.end()
  }

  @Test("connections: a frame that drips in is closed at the deadline; whole frames between silences are not")
  func slowSender() throws {
    var limits = TransportLimits.small
    limits.frameDeadline = .milliseconds(80)
    let stage = try Stage(limits: limits) { house in
      house.recorder.onFrame = { connection, _, _ in connection.established() }
    }
    let quiet = try RawSocket(port: stage.port)
    quiet.send(frame(1, [1]))
    let slow = try RawSocket(port: stage.port)
    slow.send(frame(1, [1]))
    try stage.until { $0.recorder.frames.count == 2 }
    let bytes = frame(1, [UInt8](repeating: 0, count: 60_000))
    var sent = 0
    while sent < bytes.count, try stage.on({ $0.recorder.reasons.isEmpty }) {
      guard slow.send([bytes[sent]]) else { break }
      sent += 1
    }
    try stage.until { $0.recorder.reasons == [.frameDeadline(.milliseconds(80))] }
    try stage.on { #expect($0.recorder.frames.count == 2 && $0.recorder.open.count == 1) }
    slow.close()
    quiet.close()
    try stage.end()
  }

  @Test("connections: reset at every byte of a frame, none of which is delivered")
  func resets() throws {
    let stage = try Stage()
    let bytes = frame(1, [UInt8](0..<20))
    for count in 0..<bytes.count {
      let raw = try RawSocket(port: stage.port)
      raw.send(Array(bytes[..<count]))
      try stage.until { $0.recorder.opened == count + 1 }
      raw.reset()
    }
    try stage.until { $0.recorder.reasons.count == bytes.count }
    try stage.on { #expect($0.recorder.frames.isEmpty && $0.listener?.connectionCount == 0) }
    try stage.end()
  }

  @Test("connections: the last words of a peer that is gone when it is written to are heard")
  func lastWords() throws {
    let stage = try Stage()
    let raw = try RawSocket(port: stage.port)
    try stage.until { $0.recorder.open.count == 1 }
    try stage.on { house in
      // All within one turn, so that the write fails while the peer's frame is still unread.
      raw.send(frame(9, Array("wrong cluster".utf8)))
      raw.reset()
      let connection = house.recorder.open[0]
      _ = connection.send(kind: 1, count: 0) { _ in }
      connection.flush()
      #expect(house.recorder.frames.isEmpty && house.recorder.reasons.isEmpty, "heard from within flush")
    }
    try stage.until { $0.recorder.reasons.count == 1 }
    try stage.on { #expect($0.recorder.frames == [Received(9, Array("wrong cluster".utf8))]) }
    try stage.end()
  }

  @Test("connections: a pause stops the peer by TCP, and nothing is lost by it")
  func pausedPeer() throws {
    let stage = try Stage { house in
      house.recorder.onFrame = { connection, _, _ in
        connection.established()
        if house.recorder.frames.count == 1 { connection.pauseReading() }
      }
    }
    let raw = try RawSocket(port: stage.port)
    let sent = (0..<2000).map { Received(UInt8($0 % 256), [UInt8](repeating: 1, count: 1000)) }
    raw.send(frame(sent[0].kind, sent[0].payload))
    try stage.until { $0.recorder.frames.count == 1 }
    let writer = NIOThreadPool(numberOfThreads: 1)
    writer.start()
    let written = writer.runIfActive(eventLoop: stage.loop) {
      raw.send(sent[1...].flatMap { frame($0.kind, $0.payload) })
    }
    try stage.on { $0.recorder.open[0].resumeReading() }
    #expect(try written.wait())
    try stage.until { $0.recorder.frames.count == sent.count }
    let same = try stage.on { $0.recorder.frames == sent }
    #expect(same)
    try writer.syncShutdownGracefully()
    raw.close()
    try stage.end()
  }
}

extension Stage where World == House {
  fileprivate init(prepare: @escaping @Sendable (House) -> Void) throws {
    try self.init(limits: .small, prepare)
  }
}
