internal import CXXHash
import LockstepConsensus

// What replicas compare of their sessions (XXH3-64): of each session, and of each call that is kept, a number that depends on
// all that is known of it. A table's digest is their sum, so that a change costs what it changes; without sessions it is 0.

extension Session {
  /// Without its records.
  var ownDigest: UInt64 { mixed((id, patience, lastUsed.rawValue, lastUsedAt, forgotten), seed: 1) }
}

extension Session.Record {
  func digest(in session: UInt64) -> UInt64 {
    let (kind, content): (UInt64, UInt64) =
      switch result {
      case .never: (2, 0)
      case .tooLong(let bytes): (3, bytes)
      case .reply(.success(let reply)): (4, reply.withUnsafeBytes { lockstep_xxh3_64($0.baseAddress, $0.count, 0) })
      case .reply(.failure(let status)):
        (
          5,
          Array(status.message.utf8).withUnsafeBytes {
            lockstep_xxh3_64($0.baseAddress, $0.count, UInt64(status.code.rawValue))
          }
        )
      case .pending: (6, 0)
      }
    return mixed((session, sequence, fingerprint, index.rawValue, content), seed: kind)
  }
}

private func mixed(_ numbers: (UInt64, UInt64, UInt64, UInt64, UInt64), seed: UInt64) -> UInt64 {
  withUnsafeBytes(of: numbers) { lockstep_xxh3_64($0.baseAddress, $0.count, seed) }
}
