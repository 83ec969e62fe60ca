import CXXHash
import NIOCore

@testable import LockstepTransport

// An input is: flags, the size of a read, the handshake's limit, three bytes that choose how the stream is split; then
// the stream itself, or a script of frames and garbage of which it is made.

extension FuzzTarget {
  static var frames: FuzzTarget {
    FuzzTarget(
      "frames", about: "the frame decoder, in reads of any size, with pauses: hands out what a simple decoder does",
      maximumLength: 4096, allowance: { 64 * 1024 + 64 * $0 }, seeds: FrameInput.seeds,
      run: { FrameRun(FrameInput($0)).isWhole })
  }
}

/// A stream and how it arrives.
struct FrameInput {
  struct Flags: OptionSet {
    let rawValue: UInt8
    /// The stream is a script: each part says whether it is a sealed frame or bytes as they are.
    static let isScript = Flags(rawValue: 1)
    /// The limit rises with the first frame.
    static let hasHandshake = Flags(rawValue: 2)
    static let hasPauses = Flags(rawValue: 4)
    /// The memory of half frames is short.
    static let isShort = Flags(rawValue: 8)
    /// Every read brings one byte.
    static let isSlow = Flags(rawValue: 16)
  }

  let flags: Flags
  let readBytes: Int
  let handshakeLimit: Int
  let limit = 2048
  var random: FuzzRandom
  var stream: [UInt8]

  init(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    flags = Flags(rawValue: input.byte())
    readBytes = 1 + Int(input.byte()) * 8
    handshakeLimit = flags.contains(.hasHandshake) ? Int(input.byte()) : limit
    random = FuzzRandom(UInt64(input.number(UInt16.self)))
    stream = flags.contains(.isScript) ? Self.play(&input) : [UInt8](input.rest())
  }

  private static func play(_ input: inout FuzzInput) -> [UInt8] {
    var stream: [UInt8] = []
    while !input.isEmpty {
      let verb = input.byte()
      let count = Int(input.byte()) * (verb & 2 == 0 ? 1 : 9)
      let bytes = input.take(count)
      stream += verb & 1 == 0 ? frame(verb >> 2, [UInt8](bytes)) : [UInt8](bytes)
    }
    return stream
  }

  static func frame(_ kind: UInt8, _ payload: [UInt8]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Frame.headerLength) + payload
    bytes.withUnsafeMutableBytes { Frame.seal($0, kind: kind) }
    return bytes
  }

  static func seeds() -> [[UInt8]] {
    let plain = [0, 1, 7, 250].flatMap { frame(UInt8($0), [UInt8](repeating: 7, count: $0)) }
    let script: [UInt8] = [4, 3, 1, 2, 3, 8, 0, 1, 2, 9, 9, 16, 20] + [UInt8](repeating: 5, count: 20)
    var other = frame(1, [1])
    other[5] = 2
    return [
      [0, 255, 0, 0, 0] + plain, [16, 255, 0, 0, 0] + plain, [4, 1, 0, 3, 0] + plain,
      [1, 255, 0, 1, 0] + script, [3, 2, 4, 1, 7] + script, [7, 9, 200, 1, 7] + script, [13, 1, 200, 1, 7] + script,
      [0, 9, 0, 0, 0] + Array("GET / HTTP/1.1\r\n\r\n".utf8), [0, 9, 0, 0, 0] + other,
    ]
  }
}

/// A frame that was handed out.
struct TakenFrame: Equatable {
  let kind: UInt8
  let payload: [UInt8]
}

/// What a decoder does that has the whole stream before it.
struct SimpleDecoder {
  private(set) var frames: [TakenFrame] = []
  private(set) var reason: CloseReason?
  private(set) var left: ArraySlice<UInt8>

  init(_ input: FrameInput) {
    left = input.stream[...]
    while left.count >= 8, reason == nil {
      let head = Array(left.prefix(8))
      let word = head.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      let (length, limit) = (Int(word & 0xFFFF_FFFF), frames.isEmpty ? input.handshakeLimit : input.limit)
      if head[6] != UInt8(ascii: "L") || head[7] != UInt8(ascii: "S") {
        reason = .notAFrame(beginning: printable(head))
      } else if head[5] != 1 {
        reason = .unknownVersion(head[5])
      } else if length > limit {
        reason = .frameTooLong(length: length, limit: limit)
      } else if left.count < 16 + length {
        return
      } else {
        let payload = Array(left.dropFirst(16).prefix(length))
        let claimed = left.dropFirst(8).prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        if payload.withUnsafeBytes({ lockstep_xxh3_64($0.baseAddress, $0.count, word) }) == claimed {
          frames.append(TakenFrame(kind: head[4], payload: payload))
          left = left.dropFirst(16 + length)
        } else {
          reason = .damagedFrame(length: length)
        }
      }
    }
  }
}

/// Feeds the decoder and holds it against the simple one.
final class FrameRun: FrameSink {
  private(set) var isWhole = true
  private(set) var maximumFrameLength: Int
  private(set) var takesFrames = true
  private var taken: [TakenFrame] = []
  private var input: FrameInput
  private let decoder: FrameDecoder
  private let memory: FrameMemory
  /// Bytes of the stream that the decoder has been given.
  private var delivered = 0

  init(_ input: FrameInput) {
    self.input = input
    maximumFrameLength = input.handshakeLimit
    memory = FrameMemory(halfFrameBytes: input.flags.contains(.isShort) ? 300 : 1 << 20)
    decoder = FrameDecoder(memory: memory, receiveBufferBytes: input.readBytes)
    judge(feed())
    decoder.forget()
    demand(decoder.heldBytes == 0 && decoder.heldCapacity == 0, "a decoder that forgot still holds bytes")
    demand(memory.reserve(memory.limit), "memory of half frames was not given back")
  }

  func take(kind: UInt8, payload: UnsafeRawBufferPointer) {
    demand(takesFrames, "a frame was handed out during a pause")
    taken.append(TakenFrame(kind: kind, payload: [UInt8](payload)))
    maximumFrameLength = input.limit
    if input.flags.contains(.hasPauses), input.random.oneIn(3) { takesFrames = false }
  }

  private func feed() -> CloseReason? {
    while delivered < input.stream.count {
      let count = input.flags.contains(.isSlow) ? 1 : 1 + input.random.below(input.readBytes)
      let end = min(delivered + count, input.stream.count)
      let reason = input.stream[delivered..<end].withUnsafeBytes { decoder.receive($0, for: self) }
      delivered = end
      if let reason { return reason }
      measure()
      // The socket is read to its end although the owner has paused, now and then.
      while !takesFrames, !input.random.oneIn(4) { if let reason = resume() { return reason } }
    }
    while !takesFrames { if let reason = resume() { return reason } }
    return nil
  }

  private func resume() -> CloseReason? {
    takesFrames = true
    let reason = decoder.resume(for: self)
    if reason == nil { measure() }
    return reason
  }

  private func measure() {
    let (held, capacity) = (decoder.heldBytes, decoder.heldCapacity)
    demand(capacity <= 2 * delivered + 64, "\(capacity) bytes of memory for a stream of \(delivered)")
    demand(decoder.frames == UInt64(taken.count), "the frames were counted wrongly")
    demand(!takesFrames || held < Frame.headerLength + maximumFrameLength, "a whole frame is held back")
  }

  private func judge(_ reason: CloseReason?) {
    let simple = SimpleDecoder(input)
    demand(taken == Array(simple.frames.prefix(taken.count)), "other frames than the stream has")
    switch reason {
    case .tooMuchWhilePaused(let bytes):
      isWhole = false
      demand(!takesFrames, "no pause")
      demand(bytes > maximumFrameLength + Frame.headerLength + 2 * input.readBytes, "\(bytes) bytes are not too much")
    case .tooManyHalfFrames(let limit):
      isWhole = false
      demand(limit == 300 && decoder.heldBytes + input.readBytes > 300, "the memory was not short")
    default:
      demand(
        reason == simple.reason, "ended by \(String(describing: reason)), not \(String(describing: simple.reason))")
      demand(taken.count == simple.frames.count, "\(taken.count) frames of \(simple.frames.count)")
      demand(reason != nil || decoder.heldBytes == simple.left.count, "what is left over is not what is held")
      isWhole = reason == nil
    }
  }
}
