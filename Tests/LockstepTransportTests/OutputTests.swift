import NIOCore
import NIOEmbedded
import Testing

@testable import LockstepTransport

@Suite("output")
struct OutputTests {
  private func send(_ bytes: Int, on bench: Bench) -> SendResult {
    bench.connection.send(kind: 1, count: bytes) { $0.initializeMemory(as: UInt8.self, repeating: 7) }
  }

  @Test("output: over the bound of all connections together, only those have room on which nothing waits")
  func shared() throws {
    let memory = FrameMemory(halfFrameBytes: 1 << 20, outboundBytes: 100_000)
    let slow = try Bench(memory: memory)
    let slower = try Bench(memory: memory)
    let reader = try Bench(memory: memory)
    #expect(send(60_000, on: slow) == .queued)
    #expect(slow.connection.hasRoom)
    #expect(send(60_000, on: slower) == .queued)
    #expect(!slow.connection.hasRoom && !slower.connection.hasRoom)
    #expect(reader.connection.hasRoom)
    #expect(send(60_000, on: reader) == .queued)
    #expect(!reader.connection.hasRoom)
    reader.connection.flush()
    #expect(reader.connection.hasRoom)
    // What is left of them is under the bound again when one is gone.
    slow.connection.closeNow(reason: .local("the test is over"))
    slow.channel.embeddedEventLoop.run()
    #expect(slower.connection.hasRoom)
    #expect(memory.outboundBytes == 60_016)
  }

  @Test("output: a peer that ends its input still gets the answers to what it sent, and then the end")
  func halfClosed() throws {
    let bench = try Bench()
    bench.read(frame(5, [1, 2, 3]))
    bench.recorder.closesAtInputEnd = false
    bench.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    #expect(bench.recorder.inputsEnded == 1)
    #expect(bench.connection.isOpen)
    #expect(send(10, on: bench) == .queued)
    bench.connection.close(reason: .peerClosed)
    let written = try #require(try bench.channel.readOutbound(as: ByteBuffer.self))
    #expect(written.readableBytes == Frame.headerLength + 10)
    #expect(!bench.connection.isOpen)
  }

  @Test("output: the end of a peer's input is told after the frames that waited while reading was paused")
  func pausedInput() throws {
    let bench = try Bench()
    bench.recorder.closesAtInputEnd = false
    bench.connection.pauseReading()
    bench.read(frame(5, [1, 2, 3]))
    bench.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    #expect(bench.recorder.inputsEnded == 0)
    bench.connection.resumeReading()
    bench.channel.embeddedEventLoop.run()
    #expect(bench.recorder.frames == [Received(5, [1, 2, 3])])
    #expect(bench.recorder.inputsEnded == 1)
  }
}
