import LockstepConsensus
import LockstepWire

/// Puts the hash chain of entries right. Without that, no bytes but honest ones would come past it.
enum Chain {
  /// The bytes of an AppendRequest.
  static func repaired(appendRequest bytes: [UInt8]) -> [UInt8] { repaired(bytes, chainField: 5) }

  /// The bytes of a LogBatch.
  static func repaired(logBatch bytes: [UInt8]) -> [UInt8] { repaired(bytes, chainField: 6) }

  /// The bytes of entries, each with tag and length before it. What is no entry is left as it is.
  static func repaired(entries bytes: [UInt8], after previous: UInt64) -> [UInt8] {
    var bytes = bytes
    repair(&bytes, from: 0, after: previous)
    return bytes
  }

  private static func repaired(_ bytes: [UInt8], chainField: UInt64) -> [UInt8] {
    var bytes = bytes
    let found = bytes.withUnsafeBytes { bytes -> (start: Int, previous: UInt64)? in
      var cursor = WireCursor(bytes)
      var previous: UInt64 = 0
      do throws(WireError) {
        while !cursor.isAtEnd {
          let place = cursor.position
          let tag = try cursor.varint()
          if tag == UInt64(EntryBlock.tag) { return (place, previous) }
          if tag == chainField << 3 | 1 { previous = try cursor.fixed64() } else { try skip(tag, &cursor) }
        }
      } catch { return nil }
      return nil
    }
    if let found { repair(&bytes, from: found.start, after: found.previous) }
    return bytes
  }

  private static func skip(_ tag: UInt64, _ cursor: inout WireCursor) throws(WireError) {
    try cursor.skipValue(wireType: tag & 7)
  }

  private static func repair(_ bytes: inout [UInt8], from start: Int, after previous: UInt64) {
    var chain = previous
    bytes.withUnsafeMutableBytes { all in
      let region = UnsafeMutableRawBufferPointer(rebasing: all[start...])
      var cursor = WireCursor(UnsafeRawBufferPointer(region))
      do throws(WireError) {
        while !cursor.isAtEnd {
          guard try cursor.varint() == UInt64(EntryBlock.tag) else { return }
          let range = try cursor.delimited()
          guard range.count >= 9 else { return }
          let covered = UnsafeRawBufferPointer(rebasing: region[range.lowerBound..<range.upperBound - 9])
          chain = Checksum.of(covered, seed: chain)
          region[range.upperBound - 9] = 15 << 3 | 1
          region.storeBytes(of: chain.littleEndian, toByteOffset: range.upperBound - 8, as: UInt64.self)
        }
      } catch { return }
    }
  }
}

extension Chain {
  /// Entries one by one, with tag and length, as far as they are entries.
  static func split(_ bytes: [UInt8]) -> [(header: EntryHeader, bytes: [UInt8])] {
    var entries: [(header: EntryHeader, bytes: [UInt8])] = []
    bytes.withUnsafeBytes { region in
      var cursor = WireCursor(region)
      do throws(WireError) {
        while !cursor.isAtEnd {
          let start = cursor.position
          guard try cursor.varint() == UInt64(EntryBlock.tag) else { return }
          let header = try EntryHeader(parsing: UnsafeRawBufferPointer(rebasing: region[try cursor.delimited()]))
          entries.append((header, [UInt8](region[start..<cursor.position])))
        }
      } catch { return }
    }
    return entries
  }
}
