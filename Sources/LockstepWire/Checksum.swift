internal import CXXHash

/// XXH3-64: the checksum of frames and records, and the link of the hash chain. It finds accidents, not forgers.
package enum Checksum {
  package static func of(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
    UInt64(lockstep_xxh3_64(bytes.baseAddress, bytes.count, seed))
  }

  package static func of(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
    bytes.withUnsafeBytes { of($0, seed: seed) }
  }

  /// Where the hash chain of a group begins: the "chain" of the place before the first entry.
  package static func chainOrigin(cluster: [UInt8], group: UInt64) -> UInt64 { of(cluster, seed: group) }
}
