import NIOCore
import NIOEmbedded
import Testing

@testable import LockstepTransport

@Suite("frames")
struct FrameTests {
  private static let three = [
    Received(1, [1, 2, 3]), Received(2, []), Received(255, (0..<100).map { UInt8($0) }),
  ]
  private static let threeBytes = three.flatMap { frame($0.kind, $0.payload) }

  @Test("frames: the format is what the drawing says")
  func format() {
    let bytes = frame(7, Array("hello".utf8))
    #expect(Array(bytes[..<8]) == [5, 0, 0, 0, 7, 1, 0x4C, 0x53])
    #expect(Array(bytes[8..<16]) == [184, 147, 196, 45, 40, 249, 219, 46])
    #expect(Array(bytes[16...]) == Array("hello".utf8))
  }

  @Test(
    "frames: what is sent is received, at every length up to the limit",
    arguments: [
      0, 1, 2, 3, 8, 15, 16, 17, 240, 241, 4095, 4096, 65_535, 65_536,
    ])
  func roundTrip(length: Int) throws {
    let sender = try Bench()
    let receiver = try Bench()
    let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    #expect(sender.connection.send(kind: 9, count: length) { $0.copyBytes(from: payload) } == .queued)
    #expect(try sender.written().isEmpty)
    sender.connection.flush()
    receiver.read(try sender.written())
    #expect(receiver.recorder.frames == [Received(9, payload)])
    #expect(receiver.recorder.reads == 1)
  }

  @Test("frames: header and body are one payload")
  func parts() throws {
    let sender = try Bench()
    let receiver = try Bench()
    let header: [UInt8] = [1, 2, 3]
    let body: [UInt8] = [4, 5]
    for (first, second) in [(header, body), ([], body), (header, []), ([], [])] {
      let result = first.withUnsafeBytes { first in
        second.withUnsafeBytes { second in sender.connection.send(kind: 3, header: first, body: second) }
      }
      #expect(result == .queued)
    }
    sender.connection.flush()
    receiver.read(try sender.written())
    #expect(receiver.recorder.frames.map(\.payload) == [[1, 2, 3, 4, 5], [4, 5], [1, 2, 3], []])
  }

  @Test("frames: a payload over the limit is not sent")
  func tooLong() throws {
    let bench = try Bench()
    #expect(bench.connection.send(kind: 1, count: 65_537) { _ in Issue.record("filled") } == .tooLong)
    bench.connection.flush()
    #expect(try bench.written().isEmpty)
  }

  @Test("frames: many in one read come in order, with one end of the burst")
  func many() throws {
    let bench = try Bench()
    let sent = (0..<1000).map { Received(UInt8($0 % 7), [UInt8](repeating: UInt8($0 % 251), count: $0 % 60)) }
    bench.read(sent.flatMap { frame($0.kind, $0.payload) })
    #expect(bench.recorder.frames == sent)
    #expect(bench.recorder.reads == 1)
  }

  @Test("frames: one byte at a time")
  func singleBytes() throws {
    let bench = try Bench()
    for byte in Self.threeBytes { bench.read([byte]) }
    #expect(bench.recorder.frames == Self.three)
    #expect(bench.recorder.reads == 3)
  }

  @Test("frames: split in two, and in three, at every byte")
  func splits() throws {
    let all = Self.threeBytes
    for first in 0...all.count {
      for second in stride(from: first, through: all.count, by: 7) {
        let bench = try Bench()
        for part in [all[..<first], all[first..<second], all[second...]] where !part.isEmpty { bench.read(part) }
        #expect(bench.recorder.frames == Self.three, "split at \(first) and \(second)")
        #expect(bench.recorder.reasons.isEmpty)
      }
    }
  }

  @Test("frames: a pause in the middle of a burst holds the rest until reading goes on")
  func pause() throws {
    let bench = try Bench()
    bench.recorder.onFrame = { connection, _, _ in connection.pauseReading() }
    bench.read(Self.threeBytes + [5, 0])
    #expect(bench.recorder.frames == Array(Self.three[..<1]))
    bench.read([0, 0, 7])
    #expect(bench.recorder.frames.count == 1)
    bench.connection.resumeReading()
    #expect(bench.recorder.frames.count == 1, "frames came from within the call")
    bench.channel.embeddedEventLoop.run()
    #expect(bench.recorder.frames == Array(Self.three[..<2]))
    bench.connection.resumeReading()
    bench.connection.pauseReading()
    bench.channel.embeddedEventLoop.run()
    #expect(bench.recorder.frames.count == 2, "a pause takes back what was to be resumed")
    bench.recorder.onFrame = { _, _, _ in }
    bench.connection.resumeReading()
    bench.channel.embeddedEventLoop.run()
    bench.read(frame(7, [1, 2, 3, 4, 5])[5...])
    #expect(bench.recorder.frames == Self.three + [Received(7, [1, 2, 3, 4, 5])])
    #expect(bench.recorder.reads == 4)
  }

  @Test("frames: nothing is received after a close in the middle of a burst", arguments: [true, false])
  func closeInBurst(atOnce: Bool) throws {
    let bench = try Bench()
    bench.recorder.onFrame = { connection, _, _ in
      atOnce ? connection.closeNow(reason: .local("enough")) : connection.close(reason: .local("enough"))
      #expect(bench.recorder.reasons.isEmpty, "the end was told from within the call")
      #expect(connection.send(kind: 1, count: 0) { _ in } == .closed)
    }
    bench.read(Self.threeBytes)
    #expect(bench.recorder.frames == Array(Self.three[..<1]))
    #expect(bench.recorder.reasons == [.local("enough")])
  }

  @Test("frames: the handshake, when accepted, raises the limit for the very next frame")
  func limitRises() throws {
    let bench = try Bench(established: false)
    bench.recorder.onFrame = { connection, _, _ in connection.established() }
    let big = [UInt8](repeating: 1, count: 5000)
    bench.read(frame(1, []) + frame(2, big))
    #expect(bench.recorder.frames == [Received(1, []), Received(2, big)])
  }

  @Test("frames: the end of the stream within a frame is told apart from one between frames")
  func ends() throws {
    let between = try Bench()
    between.read(frame(1, [1]))
    between.hangUp()
    #expect(between.recorder.reasons == [.peerClosed])
    let within = try Bench()
    within.read(frame(1, [1]) + frame(2, [2])[..<7])
    within.hangUp()
    #expect(within.recorder.reasons == [.peerClosedInFrame(received: 7)])
  }
}
