/// What a frame's payload is; the number stands in the frame's header. Never reused.
package enum FrameKind: UInt8, Sendable, CaseIterable {
  case peerHello = 1
  case peerWelcome = 2
  case refusal = 3
  case append = 4
  case appendReply = 5
  case vote = 6
  case voteReply = 7
  case timeoutNow = 8
  case readIndex = 9
  case readIndexReply = 10
  case forward = 11
  case forwardReply = 12
  case peerConfirm = 13
  case snapshotRead = 14
  case snapshotPart = 15

  case clientHello = 32
  case clientWelcome = 33
  case call = 34
  case callReply = 35
  case describe = 36
  case describeReply = 37
  case status = 38
  case statusReply = 39
  case batch = 40
  case batchReply = 41
  case snapshot = 42
  case snapshotReply = 43
  case stream = 44
  case streamItems = 45
  case streamCredit = 46
  case streamCancel = 47
  case streamEnd = 48
}

/// The version of the protocol with clients that this program speaks, and the oldest that it still does.
package enum WireVersion {
  package static let current: UInt32 = 1
  package static let oldest: UInt32 = 1
}

/// The same of the protocol between nodes. Version 2: starts have ids, a handshake is confirmed. Version 3: entries of the
/// sessions' own service, which older nodes carry out as something else.
package enum PeerVersion {
  package static let current: UInt32 = 3
  package static let oldest: UInt32 = 3
}

/// What a frame between nodes may have at most: not a matter of a node's options. A command that one node has taken is in
/// the log of all, so all must be able to send it and to read it.
package enum PeerFrame {
  /// More than any node may take from a client.
  package static let maximumRequestBytes = 64 * 1024 * 1024
  /// Of one frame's payload: an entry with as large a request, or several smaller ones, with what goes along.
  package static let maximumLength = maximumRequestBytes + 2 * 1024 * 1024
}
