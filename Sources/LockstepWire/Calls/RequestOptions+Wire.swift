import LockstepConsensus
package import LockstepRequests

// The numbers of levels on the wire, and what is made of those that are not known here.

extension Acknowledgement {
  package var number: UInt32 {
    switch self {
    case .leader: 1
    case .quorum: 2
    case .all: 3
    case .applied: 4
    case .voters: 5
    }
  }

  /// What stands beside the number.
  package var voters: UInt32 {
    if case .voters(let count) = self { UInt32(clamping: count) } else { 0 }
  }

  /// `voters` stands beside the number in a call; in a reply it is the number of those who are named.
  package init?(number: UInt32, voters: UInt32) {
    switch number {
    case 1: self = .leader
    case 2: self = .quorum
    case 3: self = .all
    case 4: self = .applied
    case 5: self = .voters(Int(voters))
    default: return nil
    }
  }
}

extension Consistency {
  package var number: UInt32 {
    switch self {
    case .linearizable: 1
    case .lease: 2
    case .session: 3
    case .bounded: 4
    case .at: 5
    case .any: 6
    }
  }

  /// `index` and `boundMilliseconds` stand beside the number in a call.
  package init?(number: UInt32, index: UInt64 = 0, boundMilliseconds: UInt64 = 0) {
    switch number {
    case 1: self = .linearizable
    case 2: self = .lease
    case 3: self = .session
    case 4: self = .bounded(.milliseconds(Int64(clamping: boundMilliseconds)))
    case 5: self = .at(LogIndex(index))
    case 6: self = .any
    default: return nil
    }
  }
}

extension Applied {
  package var number: UInt32 {
    switch self {
    case .unknown: 0
    case .no: 1
    case .yes: 2
    }
  }

  /// What is not known is unknown.
  package init(number: UInt32) {
    switch number {
    case 1: self = .no
    case 2: self = .yes
    default: self = .unknown
    }
  }
}

extension CallHeader {
  /// Throws for a level that is not known here.
  func options() throws(CallStatus) -> RequestOptions {
    var options = RequestOptions()
    if ack != 0 { options.acknowledgement = try acknowledgement(ack, voters) }
    if read != 0 {
      guard
        let level = Consistency(number: read, index: readIndex, boundMilliseconds: readBoundMilliseconds)
      else { throw CallStatus(.unimplemented, "read level 'number \(read)' is not known to this version") }
      options.consistency = level
    }
    options.timeoutMilliseconds = timeoutMilliseconds
    options.session = session
    options.sequence = sequence
    return options
  }
}

extension BatchHeader {
  func options() throws(CallStatus) -> RequestOptions {
    var options = RequestOptions()
    if ack != 0 { options.acknowledgement = try acknowledgement(ack, voters) }
    options.timeoutMilliseconds = timeoutMilliseconds
    options.session = session
    options.sequence = firstSequence
    return options
  }
}

private func acknowledgement(_ number: UInt32, _ voters: UInt32) throws(CallStatus) -> Acknowledgement {
  guard let level = Acknowledgement(number: number, voters: voters) else {
    throw CallStatus(.unimplemented, "acknowledgement level 'number \(number)' is not known to this version")
  }
  return level
}
