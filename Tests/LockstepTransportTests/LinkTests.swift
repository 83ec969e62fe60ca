import NIOCore
import Testing

@testable import LockstepTransport

@Suite("links")
struct LinkTests {
  @Test("links: dialed again after the peer has restarted on the same port")
  func redials() throws {
    let stage = try Stage()
    let port = try stage.port
    try stage.on { house in
      house.dialer.onOpened = { $0.established() }
      house.dial()
    }
    try stage.until { $0.dialer.opened == 1 && $0.recorder.opened == 1 }
    for round in 2...4 {
      try stage.on { house in
        house.listener?.close { house.listener = nil }
      }
      try stage.until { $0.listener == nil && $0.dialer.dialFailures.count >= 1 }
      try stage.on { house in
        #expect(house.dialer.reasons.count == round - 1 && house.links[0].connection == nil)
        house.dialer.dialFailures = []
        house.bind(port: port)
      }
      try stage.until { $0.dialer.opened == round && $0.links[0].connection != nil }
    }
    try stage.on { house in
      #expect(house.dialer.reasons.allSatisfy { $0 == .peerClosed }, "\(house.dialer.reasons)")
      house.links[0].stop()
    }
    try stage.end()
  }

  @Test("links: a dial that is refused waits longer each time")
  func backsOff() throws {
    let stage = try Stage { House($0) }
    // A port that nobody listens on, and that nobody else is given meanwhile.
    let taken = try RawSocket()
    let port = try taken.listen()
    taken.close()
    let start = NIODeadline.now()
    try stage.on { _ = $0.dial(port: port) }
    try stage.until { $0.dialer.dialFailures.count == 5 }
    // At least half of 20, 40, 80 and 160 ms.
    #expect(NIODeadline.now() - start >= .milliseconds(150))
    try stage.on { house in
      let reason = house.dialer.dialFailures[0]
      #expect(reason.hasPrefix("cannot connect to 127.0.0.1:") && reason.hasSuffix(": Connection refused"), "\(reason)")
      house.links[0].stop()
    }
    try stage.end()
  }

  @Test("links: a peer that accepts and hangs up is not called more often than one that is down")
  func hangsUp() throws {
    let stage = try Stage { house in
      house.recorder.onOpened = { $0.closeNow(reason: .local("go away")) }
    }
    let start = NIODeadline.now()
    try stage.on { _ = $0.dial() }
    try stage.until { $0.dialer.reasons.count == 5 }
    #expect(NIODeadline.now() - start >= .milliseconds(150))
    try stage.on { $0.links[0].stop() }
    try stage.end()
  }

  @Test("links: a connection that was established is replaced quickly however often the dials failed before")
  func startsOver() throws {
    var limits = TransportLimits.small
    limits.redialMaximum = .seconds(1000)
    limits.redialMinimum = .milliseconds(1)
    let stage = try Stage(limits: limits) { house in
      house.dialer.onOpened = { $0.established() }
      house.recorder.onFrame = { connection, _, _ in connection.closeNow(reason: .local("again")) }
      house.recorder.onOpened = { connection in
        if house.recorder.opened < 40 { connection.close(reason: .local("again")) }
      }
    }
    try stage.on { [limits] in _ = $0.dial(limits) }
    // Forty doublings would take for ever.
    try stage.until { $0.dialer.opened == 40 }
    try stage.on { $0.links[0].stop() }
    try stage.end()
  }

  @Test("links: a new address is dialed at once, and the old connection is told closed first")
  func update() throws {
    let stage = try Stage()
    let first = try stage.port
    try stage.on { house in
      house.dial()
      house.listener = nil
      house.bind()
    }
    try stage.until { $0.listener != nil && $0.dialer.opened == 1 }
    let second = try stage.port
    try stage.on { house in
      house.links[0].update(host: "127.0.0.1", port: first)
      #expect(house.links[0].connection != nil, "the same address changes nothing")
      house.links[0].update(host: "127.0.0.1", port: second)
      #expect(house.dialer.reasons.isEmpty, "told from within the call")
    }
    try stage.until { $0.dialer.opened == 2 }
    try stage.on { house in
      #expect(
        house.dialer.journal == [
          "opened 127.0.0.1:\(first)", "closed 127.0.0.1:\(first)", "opened 127.0.0.1:\(second)",
        ])
      house.links[0].stop()
    }
    try stage.end()
  }

  @Test("links: a new address while dialing or waiting replaces the old one")
  func updateEarly() throws {
    let stage = try Stage()
    let taken = try RawSocket()
    let nobody = try taken.listen()
    taken.close()
    try stage.on { house in
      let port = house.listener?.localPort ?? 0
      house.dial(port: nobody).update(host: "127.0.0.1", port: port)
    }
    try stage.until { $0.dialer.opened == 1 }
    try stage.on { _ = $0.dial(port: nobody) }
    try stage.until { $0.dialer.dialFailures.count >= 2 }
    try stage.on { house in
      house.links[1].update(host: "127.0.0.1", port: house.listener?.localPort ?? 0)
    }
    try stage.until { $0.dialer.opened == 2 }
    try stage.on { house in for link in house.links { link.stop() } }
    try stage.end()
  }

  @Test("links: a peer that shows that it is there is dialed at once, whatever the delay")
  func dialNow() throws {
    var limits = TransportLimits.small
    limits.redialMinimum = .seconds(1000)
    limits.redialMaximum = .seconds(1000)
    let stage = try Stage()
    let taken = try RawSocket()
    let port = try taken.listen()
    taken.close()
    try stage.on { [limits] in _ = $0.dial(port: port, limits) }
    try stage.until { $0.dialer.dialFailures.count == 1 }
    try stage.on { house in
      house.listener = nil
      house.bind(port: port)
    }
    try stage.until { $0.listener != nil }
    try stage.on { house in
      for _ in 0..<3 { house.links[0].dialNow() }
    }
    try stage.until { $0.dialer.opened == 1 }
    try stage.on { house in
      house.links[0].dialNow()
      #expect(house.links[0].connection != nil && house.dialer.opened == 1, "what is connected stays so")
      house.links[0].stop()
      house.links[0].dialNow()
    }
    try stage.end()
  }

  @Test("links: the system is told how long a silence lasts at most", arguments: [nil, 2, 7])
  func silence(seconds: Int64?) throws {
    var limits = TransportLimits.small
    limits.silenceDeadline = seconds.map { .seconds($0) }
    let stage = try Stage()
    try stage.on { [limits] in _ = $0.dial(limits) }
    try stage.until { $0.dialer.opened == 1 }
    try stage.on { house in
      let options = house.links[0].connection?.channel.syncOptions
      let milliseconds = try? options?.getOption(.tcpOption(.userTimeout))
      #expect(milliseconds == Int(1000 * (seconds ?? 0)))
      house.links[0].stop()
    }
    try stage.end()
  }

  @Test("links: stopped, they flush, are told closed, and never dial again")
  func stops() throws {
    let stage = try Stage()
    try stage.on { house in
      for _ in 0..<3 { house.dial() }
      house.links[0].stop()
    }
    try stage.until { $0.dialer.opened == 2 && $0.recorder.opened == 2 }
    try stage.on { house in
      #expect(house.links[0].connection == nil)
      for connection in house.dialer.open { _ = connection.send(kind: 6, count: 0) { _ in } }
      for link in house.links { link.stop(reason: .local("bye")) }
    }
    try stage.until { $0.dialer.reasons == [.local("bye"), .local("bye")] && $0.recorder.reasons.count == 2 }
    try stage.on { house in
      #expect(house.recorder.frames == [Received(6, []), Received(6, [])])
      #expect(house.dialer.opened == 2 && house.recorder.opened == 2)
    }
    try stage.end()
  }

  @Test("links: a dial that nobody answers ends at its deadline")
  func connectDeadline() throws {
    let stage = try Stage { House($0) }
    let listening = try RawSocket()
    let port = try listening.listen()
    // The queue takes one; who comes later is not answered.
    let queued = try RawSocket(port: port)
    try stage.on { house in
      var limits = TransportLimits.small
      limits.connectDeadline = .milliseconds(50)
      for _ in 0..<2 { house.dial(port: port, limits) }
    }
    try stage.until { $0.dialer.dialFailures.count >= 2 }
    try stage.on { house in
      let words = ": no answer within \(Duration.milliseconds(50))"
      #expect(house.dialer.dialFailures.allSatisfy { $0.hasSuffix(words) }, "\(house.dialer.dialFailures)")
      for link in house.links { link.stop() }
    }
    queued.close()
    listening.close()
    try stage.end()
  }

  @Test("links: a peer that accepts and stays silent is closed at the handshake's deadline, and dialed again")
  func silentPeer() throws {
    var limits = TransportLimits.small
    limits.handshakeDeadline = .milliseconds(40)
    let stage = try Stage()
    try stage.on { [limits] in _ = $0.dial(limits) }
    try stage.until { $0.dialer.opened == 3 }
    try stage.on { house in
      // The third may have come to its end as well before it is looked at.
      #expect(house.dialer.reasons.prefix(2).allSatisfy { $0 == .handshakeDeadline(.milliseconds(40)) })
      #expect(house.dialer.reasons.count >= 2)
      house.links[0].stop()
    }
    try stage.end()
  }

  @Test("links: a dial that reaches itself, for want of a listener, is no connection")
  func selfConnect() throws {
    let stage = try Stage()
    // A port of the kind that the system gives to those who dial.
    let dialed = try RawSocket(port: stage.port)
    let port = try dialed.localPort()
    dialed.reset()
    var limits = TransportLimits.small
    limits.redialMinimum = .microseconds(1)
    limits.redialMaximum = .microseconds(1)
    // The system goes through the free ports for the near end, and gets to the far one's in the end.
    try stage.on { [limits] house in
      let link = house.dial(port: port, limits)
      house.dialer.onDialFailed = { reason in
        if reason.contains("itself") { link.stop() }
      }
    }
    try stage.until(seconds: 300) { $0.dialer.opened > 0 || $0.dialer.dialFailures.last?.contains("itself") == true }
    try stage.on { #expect($0.dialer.opened == 0) }
    try stage.end()
  }
}
