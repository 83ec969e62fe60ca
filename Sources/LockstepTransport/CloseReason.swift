/// Why a connection ended; `description` is what belongs in a log line beside the remote address.
package enum CloseReason: Error, Equatable, Sendable {
  /// The peer hung up between two frames.
  case peerClosed
  /// The peer hung up with a frame begun, of which so many bytes had come.
  case peerClosedInFrame(received: Int)
  /// The bytes are no frame; the text shows how they begin.
  case notAFrame(beginning: String)
  /// A frame of a format version that this build does not read.
  case unknownVersion(UInt8)
  /// A frame announced more bytes than are accepted at this point.
  case frameTooLong(length: Int, limit: Int)
  /// A frame of this length did not match its checksum.
  case damagedFrame(length: Int)
  /// The owner did not call `established()` in time.
  case handshakeDeadline(Duration)
  /// A frame was begun and not completed in time.
  case frameDeadline(Duration)
  /// The peer took none of what waits for it for so long.
  case stalled(Duration, pendingBytes: Int)
  /// The listener already has all the connections that it may have.
  case tooManyConnections(limit: Int)
  /// All half frames of the listener together exceed their limit.
  case tooManyHalfFrames(limit: Int)
  /// More bytes arrived after reading was paused than are kept.
  case tooMuchWhilePaused(bytes: Int)
  /// The operating system's words.
  case inputOutput(String)
  /// The owner's own words.
  case local(String)
}

extension CloseReason {
  /// The same for what differs in numbers alone, as a log is to count it.
  package var kind: String { String(description.filter { !$0.isNumber }.prefix(20)) }
}

extension CloseReason: CustomStringConvertible {
  package var description: String {
    switch self {
    case .peerClosed: "closed by the peer"
    case .peerClosedInFrame(let received): "closed by the peer \(received) bytes into a frame"
    case .notAFrame(let beginning): "not a Lockstep frame: got '\(beginning)'"
    case .unknownVersion(let version): "frame format version \(version) is unknown, this is \(Frame.version)"
    case .frameTooLong(let length, let limit): "frame of \(length) bytes is over the limit of \(limit)"
    case .damagedFrame(let length): "frame of \(length) bytes does not match its checksum"
    case .handshakeDeadline(let time): "no handshake within \(time)"
    case .frameDeadline(let time): "a frame was begun and not completed within \(time)"
    case .stalled(let time, let pending): "the peer took none of \(pending) waiting bytes for \(time)"
    case .tooManyConnections(let limit): "all \(limit) connections are taken"
    case .tooManyHalfFrames(let limit): "half frames of all connections are over the limit of \(limit) bytes"
    case .tooMuchWhilePaused(let bytes): "\(bytes) bytes arrived while reading was paused"
    case .inputOutput(let text), .local(let text): text
    }
  }
}

/// The first bytes of something foreign, fit for a log: printable ASCII as it is, the rest escaped.
func printable(_ bytes: some Sequence<UInt8>) -> String {
  var text = ""
  for byte in bytes {
    switch byte {
    case 0x20...0x7E where byte != UInt8(ascii: "'") && byte != UInt8(ascii: "\\"):
      text.unicodeScalars.append(Unicode.Scalar(byte))
    default:
      text += byte < 16 ? "\\x0" : "\\x"
      text += String(byte, radix: 16)
    }
  }
  return text
}
