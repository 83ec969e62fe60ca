import NIOCore
import NIOEmbedded
import Testing

@testable import LockstepTransport

/// Seeded, so that a failure comes again.
struct Generator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ (state >> 29)
  }
}

@Suite("hostile bytes")
struct HostileBytesTests {
  @Test(
    "hostile bytes: every bit of a frame flipped closes the connection and delivers nothing", arguments: [0, 1, 21])
  func flippedBits(length: Int) throws {
    let good = frame(5, (0..<length).map { UInt8($0) })
    for bit in 0..<good.count * 8 {
      var bad = good
      bad[bit / 8] ^= 1 << (bit % 8)
      let bench = try Bench()
      // What follows completes the frame where the flipped bit made it longer.
      bench.read(bad)
      bench.read([UInt8](repeating: 0, count: 65_536))
      #expect(bench.recorder.frames.isEmpty, "bit \(bit)")
      #expect(bench.recorder.reasons.count == 1, "bit \(bit)")
    }
  }

  @Test(
    "hostile bytes: a claimed length over the limit is refused before anything is allocated",
    arguments: [
      4097, 65_536, 1 << 31, UInt32.max,
    ])
  func claimedLengths(length: UInt32) throws {
    let bench = try Bench(established: false)
    bench.read(header(claiming: length)[..<8])
    #expect(bench.recorder.reasons == [.frameTooLong(length: Int(length), limit: 4096)])
    #expect(bench.recorder.reasons[0].description == "frame of \(length) bytes is over the limit of 4096")
  }

  @Test("hostile bytes: a claimed length within the limit, and then silence, costs what was sent")
  func claimedAndSilent() throws {
    let memory = FrameMemory(halfFrameBytes: 100_000)
    let benches = try (0..<200).map { _ in try Bench(memory: memory) }
    for bench in benches { bench.read(header(claiming: 65_536)) }
    #expect(benches.allSatisfy { $0.recorder.reasons.isEmpty })
    #expect(benches.allSatisfy { $0.connection.heldCapacity <= 256 })
  }

  @Test("hostile bytes: half frames of all connections together are bounded, and small ones are always let in")
  func halfFrames() throws {
    let memory = FrameMemory(halfFrameBytes: 70_000)
    let benches = try (0..<10).map { _ in try Bench(memory: memory) }
    let half = frame(1, [UInt8](repeating: 3, count: 50_000))[..<30_000]
    for bench in benches { bench.read(half) }
    let closed = benches.filter { $0.recorder.reasons == [.tooManyHalfFrames(limit: 70_000)] }
    #expect(closed.count == 8)
    let honest = try Bench(memory: memory)
    honest.read(frame(1, [1, 2, 3])[..<5])
    honest.read(frame(1, [1, 2, 3])[5...])
    #expect(honest.recorder.frames == [Received(1, [1, 2, 3])])
    for bench in benches { bench.hangUp() }
    let later = try Bench(memory: memory)
    later.read(half)
    #expect(later.recorder.reasons.isEmpty, "what ended connections held is given back")
  }

  @Test(
    "hostile bytes: other protocols are named by how they begin",
    arguments: [
      (Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), "GET / HT"),
      (Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8), "PRI * HT"),
      ([0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3], "\\x16\\x03\\x01\\x02\\x00\\x01\\x00\\x01"),
      (Array("it's a \\".utf8), "it\\x27s a \\x5c"),
      ([UInt8](repeating: 0, count: 8), "\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"),
    ])
  func otherProtocols(bytes: [UInt8], beginning: String) throws {
    let bench = try Bench(established: false)
    bench.read(bytes)
    #expect(bench.recorder.reasons == [.notAFrame(beginning: beginning)])
    #expect(bench.recorder.reasons[0].description == "not a Lockstep frame: got '\(beginning)'")
    #expect(try bench.written().isEmpty)
  }

  @Test("hostile bytes: another version of the format is told apart from another protocol")
  func otherVersion() throws {
    var bytes = frame(1, [1])
    bytes[5] = 2
    let bench = try Bench()
    bench.read(bytes)
    #expect(bench.recorder.reasons == [.unknownVersion(2)])
  }

  @Test("hostile bytes: random garbage is never delivered", arguments: 1...20)
  func garbage(seed: UInt64) throws {
    var random = Generator(state: seed)
    for _ in 0..<100 {
      let bench = try Bench(established: false)
      let bytes = (0..<Int.random(in: 8...9000, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      bench.read(bytes)
      #expect(bench.recorder.frames.isEmpty)
      #expect(bench.recorder.reasons.count == 1)
    }
  }

  @Test(
    "hostile bytes: a stream with a wound delivers what lies before it, unchanged, and nothing else", arguments: 1...20)
  func wounds(seed: UInt64) throws {
    var random = Generator(state: seed)
    for _ in 0..<50 {
      let sent = (0..<20).map { _ in
        Received(
          UInt8.random(in: 0...255, using: &random),
          (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
      }
      var bytes = sent.flatMap { frame($0.kind, $0.payload) }
      let wound = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<3, using: &random) {
      case 0: bytes[wound] ^= UInt8.random(in: 1...255, using: &random)
      case 1: bytes.remove(at: wound)
      default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: wound)
      }
      let bench = try Bench()
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = min(rest.count, Int.random(in: 1...400, using: &random))
        bench.read(rest.prefix(count))
        rest = rest.dropFirst(count)
      }
      bench.hangUp()
      #expect(bench.recorder.frames == Array(sent.prefix(bench.recorder.frames.count)))
      #expect(bench.recorder.frames.count < 20 || wound >= bytes.count - 1)
      #expect(bench.recorder.reasons.count == 1)
    }
  }

  @Test("hostile bytes: what arrives during a pause is bounded")
  func paused() throws {
    let bench = try Bench()
    bench.connection.pauseReading()
    for _ in 0..<64 where bench.recorder.reasons.isEmpty { bench.read([UInt8](repeating: 0, count: 4096)) }
    guard case .tooMuchWhilePaused = bench.recorder.reasons.first else {
      Issue.record("\(bench.recorder.reasons)")
      return
    }
  }
}
