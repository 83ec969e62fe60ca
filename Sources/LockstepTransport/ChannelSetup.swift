import NIOCore

/// The one place that says what a connection's channel is made of, and how many bytes wait in it.
struct ChannelSetup {
  private let receive: FixedSizeRecvByteBufferAllocator
  private let waterMark: ChannelOptions.Types.WriteBufferWaterMark

  init(_ limits: TransportLimits) {
    receive = FixedSizeRecvByteBufferAllocator(capacity: limits.receiveBufferBytes)
    let room = Connection.roomMark(limits)
    waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: room / 2, high: room)
  }

  /// Sets the options of a channel that was just made, and puts its handlers in place. What encrypts belongs before the
  /// connection's own handler, and then also into the two answers below.
  func prepare(_ channel: any Channel, for connection: Connection) throws {
    let options = channel.syncOptions
    try options?.setOption(.tcpOption(.tcp_nodelay), value: 1)
    try options?.setOption(.socketOption(.so_keepalive), value: 1)
    try options?.setOption(.maxMessagesPerRead, value: UInt(readsPerBurst))
    try options?.setOption(.recvAllocator, value: receive)
    try options?.setOption(.writeBufferWaterMark, value: waterMark)
    // A caller may end its input and wait for the answers; a node that hangs up on a link is gone.
    if connection.role == .accepted { try options?.setOption(.allowRemoteHalfClosure, value: true) }
    if let silence = connection.limits.silenceDeadline, connection.role == .dialed {
      let milliseconds = TimeAmount(silence).nanoseconds / 1_000_000
      try options?.setOption(.tcpOption(.userTimeout), value: Int(CInt(clamping: milliseconds)))
    }
    try channel.pipeline.syncOperations.addHandler(ConnectionHandler(connection))
  }

  /// Whether a buffer that nobody holds any more has been taken by the kernel. Not so behind a handler that makes other
  /// bytes of it, which then wait in its place.
  let passesBuffersOn = true

  /// Bytes that were written to the channel and that the kernel did not take yet.
  func bytesWaiting(in channel: any Channel) -> Int {
    (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
  }
}
