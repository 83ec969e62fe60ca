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

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .inputClosed? = event as? ChannelEvent { connection.inputEnded() }
    context.fireUserInboundEventTriggered(event)
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
