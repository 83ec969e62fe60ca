import NIOCore

/// What became of a frame that was to be sent.
package enum SendResult: Sendable {
  /// It is appended, and goes out with the next `flush`.
  case queued
  /// Too much is waiting already. Nothing was appended; once it is flushed, `connectionWritabilityChanged` says when
  /// there is room again.
  case full
  /// It is longer than any frame may be. Nothing was appended.
  case tooLong
  /// The connection is closing or closed. Nothing was appended.
  case closed
}

extension Connection {
  /// Bytes that were appended or written and that the kernel did not take yet.
  package var pendingBytes: Int {
    if bytesInChannel > 0 { measureChannel() }
    return outbound.readableBytes + bytesInChannel
  }

  /// False from a `.full` until there is room again.
  package var isWritable: Bool { isOpen && !isFull }

  /// Less is waiting than half of what may; and less on all connections of this listener together than may, or nothing
  /// here: whoever reads gets the next answer, however little others read.
  package var hasRoom: Bool {
    let mark = Self.roomMark(limits)
    guard outbound.readableBytes + bytesInChannel <= mark || pendingBytes <= mark else { return false }
    return memory.hasOutboundRoom || pendingBytes == 0
  }

  /// Appends one frame with `count` bytes of payload, all of which `fill` must write: they hold old bytes before.
  /// `fill` must not call this connection. Nothing is written before `flush`.
  package func send(kind: UInt8, count: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) -> SendResult {
    let total = Frame.headerLength + count
    if let refusal = refuse(total) { return refusal }
    outbound.writeWithUnsafeMutableBytes(minimumWritableBytes: total) { room in
      let frame = UnsafeMutableRawBufferPointer(rebasing: room[..<total])
      fill(UnsafeMutableRawBufferPointer(rebasing: frame[Frame.headerLength...]))
      Frame.seal(frame, kind: kind)
      return total
    }
    memory.countOutbound(total)
    return .queued
  }

  /// Appends one frame whose payload is `header` followed by `body`.
  package func send(kind: UInt8, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) -> SendResult {
    send(kind: kind, count: header.count + body.count) { payload in
      payload.copyMemory(from: header)
      UnsafeMutableRawBufferPointer(rebasing: payload[header.count...]).copyMemory(from: body)
    }
  }

  /// Hands all that was appended to the channel, in one write.
  package func flush() {
    eventLoop.assertInEventLoop()
    let count = outbound.readableBytes
    guard count > 0, isOpen, let channelContext else { return }
    var buffer = ByteBuffer()
    swap(&buffer, &outbound)
    bytesHandedOver &+= UInt64(count)
    bytesInChannel += count
    isFlushing = true
    channelContext.writeAndFlush(NIOAny(buffer), promise: nil)
    isFlushing = false
    // Bytes leave in order: if the channel has let go of these, then of all before them too.
    if memory.give(&buffer), setup.passesBuffersOn { nowInChannel(0) }
    if isFull { regain() }
  }

  /// The channel has more room, or has lost it.
  func writabilityChanged() {
    guard isFull, !isFlushing, isOpen, channel.isWritable else { return }
    isFull = false
    delegate?.connectionWritabilityChanged(self)
  }

  func measureChannel() {
    nowInChannel(setup.bytesWaiting(in: channel))
  }

  private func nowInChannel(_ bytes: Int) {
    memory.countOutbound(bytes - bytesInChannel)
    bytesInChannel = bytes
  }

  /// At the end: nothing waits here any more.
  func forgetOutput() {
    memory.countOutbound(-outbound.readableBytes - bytesInChannel)
    bytesInChannel = 0
    memory.give(&outbound)
  }

  /// The size of the pending output under which a connection that was full takes frames again.
  static func roomMark(_ limits: TransportLimits) -> Int { limits.outboundBytes / 2 }

  private func refuse(_ total: Int) -> SendResult? {
    eventLoop.assertInEventLoop()
    guard isOpen else { return .closed }
    guard total - Frame.headerLength <= limits.maximumFrameLength else { return .tooLong }
    let appended = outbound.readableBytes + total
    if appended + bytesInChannel > limits.outboundBytes {
      measureChannel()
      if appended + bytesInChannel > limits.outboundBytes {
        isFull = true
        return .full
      }
    }
    if outbound.capacity == 0 { outbound = memory.take() }
    return nil
  }

  /// A refused frame leaves more than the mark waiting (see `TransportLimits.check`). If a flush brings that under the
  /// mark at once, then the channel never tells; else it does.
  private func regain() {
    guard pendingBytes <= Self.roomMark(limits) else { return }
    eventLoop.assumeIsolated().execute {
      guard self.isFull, self.isOpen, self.pendingBytes <= Self.roomMark(self.limits) else { return }
      self.isFull = false
      self.delegate?.connectionWritabilityChanged(self)
    }
  }
}
