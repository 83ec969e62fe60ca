import NIOCore

/// The one handler of a connection's pipeline: passes on what the channel tells.
final class ConnectionHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let connection: Connection

  init(_ connection: Connection) {
    self.connection = connection
  }

  func handlerAdded(context: ChannelHandlerContext) {
    connection.channelContext = context
    if context.channel.isActive { connection.opened() }
  }

  func channelActive(context: ChannelHandlerContext) {
    connection.opened()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    connection.read(Self.unwrapInboundIn(data))
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    connection.readCompleted()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    connection.writabilityChanged()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    connection.failed(error)
  }

  func channelInactive(context: ChannelHandlerContext) {
    connection.inactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    connection.finish()
  }
}

/// The socket options of every connection, accepted or dialed.
struct ConnectionOptions {
  let receive: FixedSizeRecvByteBufferAllocator
  let waterMark: ChannelOptions.Types.WriteBufferWaterMark

  init(_ limits: TransportLimits) {
    receive = FixedSizeRecvByteBufferAllocator(capacity: limits.receiveBufferBytes)
    let room = Connection.roomMark(limits)
    waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: room / 2, high: room)
  }
}
