import NIOCore

/// Who gets the frames of a decoder.
package protocol FrameSink: AnyObject {
  /// Asked before every frame, so that the owner may raise it on the first frame of a burst for the second one.
  var maximumFrameLength: Int { get }
  /// Asked before every frame: false once the owner has paused or closed in the middle of a burst.
  var takesFrames: Bool { get }
  func take(kind: UInt8, payload: UnsafeRawBufferPointer)
}

/// Bytes of a stream to frames.
///
/// Complete frames are handed out in place, from the receive buffer. Only what is left over (the beginning of a frame,
/// or everything after a pause) is copied, into one buffer that grows with what arrives and never with what is claimed.
package final class FrameDecoder {
  /// What arrived and was not handed out yet. Unless the sink has paused, it is less than one frame.
  private var held = ByteBuffer()
  private var reserved = 0
  private let memory: FrameMemory
  /// Held without asking the shared budget.
  private let freely: Int

  /// Counts the frames handed out; wraps.
  package private(set) var frames: UInt64 = 0

  package init(memory: FrameMemory, receiveBufferBytes: Int) {
    self.memory = memory
    self.freely = receiveBufferBytes
  }

  package var heldBytes: Int { held.readableBytes }
  var heldCapacity: Int { held.capacity }

  /// Takes what one read brought. The reason to close, if there is one, is the end of this decoder.
  package func receive(_ bytes: UnsafeRawBufferPointer, for sink: some FrameSink) -> CloseReason? {
    var rest = bytes
    if held.readableBytes > 0, sink.takesFrames, let reason = complete(from: &rest, for: sink) { return reason }
    if held.readableBytes == 0 {
      let (consumed, reason) = decode(rest, for: sink)
      if let reason { return reason }
      rest = UnsafeRawBufferPointer(rebasing: rest[consumed...])
    }
    guard !rest.isEmpty else { return nil }
    // A pause stops the reading of the socket, except at the end of a stream, which is read to its end.
    if !sink.takesFrames, heldBytes + rest.count > sink.maximumFrameLength + heldWhilePaused {
      return .tooMuchWhilePaused(bytes: heldBytes + rest.count)
    }
    return hold(rest)
  }

  /// Goes on with what was held during a pause.
  func resume(for sink: some FrameSink) -> CloseReason? {
    // Taken out for the time of the calls: the sink may ask how much is held.
    var batch = ByteBuffer()
    swap(&batch, &held)
    let (consumed, reason) = batch.withUnsafeReadableBytes { decode($0, for: sink) }
    batch.moveReaderIndex(forwardBy: consumed)
    batch.discardReadBytes()
    swap(&batch, &held)
    if held.readableBytes == 0 { forget() }
    return reason
  }

  /// Returns all memory.
  package func forget() {
    memory.release(reserved)
    reserved = 0
    memory.give(&held)
  }

  /// Hands out the complete frames at the beginning of `bytes`.
  private func decode(
    _ bytes: UnsafeRawBufferPointer, for sink: some FrameSink
  ) -> (consumed: Int, reason: CloseReason?) {
    var consumed = 0
    while bytes.count - consumed >= Frame.prefixLength, sink.takesFrames {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
      let prefix = Frame.Prefix(reading: rest)
      if let reason = prefix.refusal(limit: sink.maximumFrameLength) { return (consumed, reason) }
      let total = Frame.headerLength + prefix.length
      guard rest.count >= total else { break }
      if let reason = handOut(UnsafeRawBufferPointer(rebasing: rest[..<total]), prefix, to: sink) {
        return (consumed, reason)
      }
      consumed += total
    }
    return (consumed, nil)
  }

  /// Adds to the held beginning of a frame just what it lacks, and hands it out when nothing lacks any more.
  private func complete(from rest: inout UnsafeRawBufferPointer, for sink: some FrameSink) -> CloseReason? {
    while true {
      var wanted = Frame.prefixLength
      if held.readableBytes >= Frame.prefixLength {
        let prefix = held.withUnsafeReadableBytes { Frame.Prefix(reading: $0) }
        if let reason = prefix.refusal(limit: sink.maximumFrameLength) { return reason }
        wanted = Frame.headerLength + prefix.length
        if held.readableBytes == wanted {
          var frame = ByteBuffer()
          swap(&frame, &held)
          let reason = frame.withUnsafeReadableBytes { handOut($0, prefix, to: sink) }
          swap(&frame, &held)
          forget()
          return reason
        }
      }
      let some = UnsafeRawBufferPointer(rebasing: rest.prefix(wanted - held.readableBytes))
      guard !some.isEmpty else { return nil }
      if let reason = hold(some) { return reason }
      rest = UnsafeRawBufferPointer(rebasing: rest[some.count...])
    }
  }

  private func handOut(
    _ frame: UnsafeRawBufferPointer, _ prefix: Frame.Prefix, to sink: some FrameSink
  ) -> CloseReason? {
    guard Frame.isIntact(frame, prefix) else { return .damagedFrame(length: prefix.length) }
    frames &+= 1
    sink.take(kind: prefix.kind, payload: UnsafeRawBufferPointer(rebasing: frame[Frame.headerLength...]))
    return nil
  }

  private func hold(_ bytes: UnsafeRawBufferPointer) -> CloseReason? {
    let total = held.readableBytes + bytes.count
    if total > max(freely, reserved) {
      guard memory.reserve(total - reserved) else { return .tooManyHalfFrames(limit: memory.limit) }
      reserved = total
    }
    if held.capacity == 0 { held = memory.take() }
    held.writeBytes(bytes)
    return nil
  }

  /// Beside a frame that was begun: the burst of reads that may be under way when the owner pauses.
  private var heldWhilePaused: Int { Frame.headerLength + 2 * readsPerBurst * freely }
}

/// Reads of one connection before the loop turns to the next one. One: the second would nearly always find nothing, and
/// what is left shows again in the next pass.
let readsPerBurst = 1
