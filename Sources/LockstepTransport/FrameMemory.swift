import NIOCore

/// The memory that the connections of one listener or link share.
///
/// A connection takes a buffer when it has something to hold, and gives it back when it does not: an idle connection
/// owns none, and a busy loop keeps writing into the few that are in the processor's cache.
package final class FrameMemory {
  private static let buffersKept = 16
  /// Of one kept buffer; what a rare big frame needed is returned to the system.
  private static let capacityKept = 512 << 10

  let limit: Int
  private var reserved = 0
  private var free: [ByteBuffer] = []

  private let outboundLimit: Int
  /// Bytes that wait on all connections: the sum of what each of them believes to be waiting. None believes less than
  /// there is.
  private(set) var outboundBytes = 0
  /// Lets every connection look again at what still waits on it, and says how many there are.
  var measure: (() -> Int)?
  private var questionsUntilMeasure = 0

  package init(halfFrameBytes: Int, outboundBytes: Int = .max) {
    limit = halfFrameBytes
    outboundLimit = outboundBytes
    free.reserveCapacity(Self.buffersKept)
  }

  /// An empty buffer, as a rule with some capacity already.
  func take() -> ByteBuffer {
    free.popLast() ?? ByteBuffer()
  }

  /// Takes a buffer back. Answers false, and lets go of it, if somebody else still holds its bytes: the channel, to
  /// write them when the kernel has room.
  @discardableResult
  func give(_ buffer: inout ByteBuffer) -> Bool {
    let isOurs = buffer.modifyIfUniquelyOwned { $0.clear() } != nil
    if isOurs, buffer.capacity <= Self.capacityKept, free.count < Self.buffersKept {
      free.append(buffer)
    }
    buffer = ByteBuffer()
    return isOurs
  }

  /// Counts bytes of half frames; false if they would be too many, and then nothing was counted.
  func reserve(_ bytes: Int) -> Bool {
    guard bytes <= limit - reserved else { return false }
    reserved += bytes
    return true
  }

  func release(_ bytes: Int) {
    reserved -= bytes
  }

  func countOutbound(_ bytes: Int) { outboundBytes += bytes }

  /// Less waits than may on all connections together. A look at all of them is taken once in as many questions as there
  /// are connections, so that a question costs no more for their number.
  var hasOutboundRoom: Bool {
    guard outboundBytes > outboundLimit else { return true }
    questionsUntilMeasure -= 1
    guard questionsUntilMeasure <= 0 else { return false }
    questionsUntilMeasure = measure?() ?? 0
    return outboundBytes <= outboundLimit
  }
}
