package import LockstepConsensus
import LockstepExecution
package import LockstepRequests

// Streams: calls that are answered with what happens, for as long as the client reads on.

extension Node {
  package func open(_ request: StreamRequest, id: UInt64, _ writer: any StreamWriter) {
    guard !hasFailed else { return }
    do throws(CallStatus) {
      try stop(admits: now)
      guard let group = group(request.group) else {
        throw CallStatus(.notFound, "this node has no group \(request.group)")
      }
      try group.streams.open(request, id: id, writer, group.lane)
      isReady(group.id)
    } catch { refuse(id, writer, error) }
  }

  /// The client has taken so many bytes of this stream.
  package func credit(_ bytes: Int, to stream: UInt64, _ writer: any StreamWriter) {
    for group in all where group.streams.count > 0 {
      group.streams.credit(bytes, to: stream, writer)
      isReady(group.id)
    }
  }

  /// Returns whether it was open.
  package func cancel(_ stream: UInt64, _ writer: any StreamWriter) -> Bool {
    all.reduce(false) { $1.streams.cancel(stream, writer) || $0 }
  }

  /// Nobody reads there any more.
  package func closed(_ writer: any StreamWriter) {
    for group in all { group.streams.closed(writer) }
  }

  /// Open at this node.
  package var streamCount: Int { all.reduce(0) { $0 + $1.streams.count } }
}
