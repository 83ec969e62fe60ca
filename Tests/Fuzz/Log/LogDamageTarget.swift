import LockstepConsensus
import LockstepStorage
import LockstepWire

extension FuzzTarget {
  /// An input is: which honest log, whether checksums are put right afterwards, and edits of its files.
  static var logDamage: FuzzTarget {
    FuzzTarget(
      "log-damage", about: "an honest log that was changed: refused, or what it was, never cut or made up",
      maximumLength: 512, allowance: { _ in 8 << 20 }, seeds: { seeds(HonestLog.all.count) },
      run: { bytes in
        var input = FuzzInput(bytes)
        let log = HonestLog.all[Int(input.byte()) % HonestLog.all.count]
        let isRepaired = input.byte() & 1 != 0
        var editor = LogEditor(log.images)
        while !input.isEmpty { editor.edit(&input) }
        if isRepaired { editor.repair() }
        let contents = LogRun.open(editor.images)
        // Of a log without a seal, and without an identity that knows its end, nothing says whether its last batch was
        // synced. Checksums that were put right lie.
        let knowsItsEnd = editor.images["identity"] == log.images["identity"]
        if let contents, !isRepaired, let seal = log.seal, knowsItsEnd || editor.isThere(seal, of: log) {
          demand(contents == log.contents, "damage was taken for the end of the log, or for truth")
        }
        return contents != nil
      })
  }

  private static func seeds(_ logs: Int) -> [[UInt8]] {
    (0..<UInt8(logs)).flatMap { log -> [[UInt8]] in
      let edits: [[UInt8]] = [
        [], [1, 0, 10, 0, 2, 1, 2], [1, 1, 64, 2, 8], [1, 2, 100, 0, 64], [1, 3, 128, 0, 8, 64, 0], [1, 4, 200, 1],
        [1, 5], [1, 6, 2], [0, 0, 64, 0, 3, 9, 9, 9], [2, 7, 8, 0, 4, 1, 1, 1, 1],
        // No identity, and a record of the log where its header was.
        [0, 5, 1, 3, 0, 0, 255, 192, 0],
      ]
      return edits.flatMap { [[log, 0] + $0, [log, 1] + $0] }
    }
  }
}

/// Changes files as the bytes of an input say.
struct LogEditor {
  private(set) var images: [String: [UInt8]]
  private let names: [String]

  init(_ images: [String: [UInt8]]) {
    self.images = images
    // Nothing is in the lock, and a start makes one that is missing.
    names = images.keys.sorted().filter { $0 != "lock" }
  }

  /// Whether the seal of the honest log still stands where it stood, in a file of the size that it had.
  func isThere(_ seal: (name: String, place: Range<Int>), of log: HonestLog) -> Bool {
    guard let now = images[seal.name], let before = log.images[seal.name], now.count == before.count else {
      return false
    }
    return now[seal.place] == before[seal.place]
  }

  mutating func edit(_ input: inout FuzzInput) {
    let name = names[Int(input.byte()) % names.count]
    guard var bytes = images[name] else { return }
    let verb = input.byte() % 8
    if verb < 5 || verb == 7 {
      let place = bytes.isEmpty ? 0 : Int(input.number(UInt16.self)) % bytes.count
      change(&bytes, at: place, verb, &input)
      images[name] = bytes
    } else if verb == 5 {
      images[name] = nil
    } else {
      images[names[Int(input.byte()) % names.count]] = bytes
    }
  }

  private func change(_ bytes: inout [UInt8], at place: Int, _ verb: UInt8, _ input: inout FuzzInput) {
    let count = Int(input.byte())
    let range = place..<min(bytes.count, place + count)
    switch verb {
    case 0: for (offset, byte) in input.take(range.count).enumerated() { bytes[place + offset] = byte }
    case 1: for (offset, byte) in input.take(range.count).enumerated() { bytes[place + offset] ^= byte }
    case 2: for place in range { bytes[place] = 0 }
    case 3:
      // A misdirected write, in units of a header.
      let source = bytes.isEmpty ? 0 : Int(input.number(UInt16.self)) % bytes.count & ~63
      let target = place & ~63
      for offset in 0..<min(64 * (count % 8 + 1), bytes.count - max(source, target)) {
        bytes[target + offset] = bytes[source + offset]
      }
    case 4: bytes.removeLast(min(bytes.count, count * 8))
    default: bytes.insert(contentsOf: input.take(count), at: min(place, bytes.count))
    }
  }

  /// Puts the checksums of all that looks like a record right, segment by segment.
  mutating func repair() {
    for name in names where name.hasPrefix("log-") {
      guard let segment = UInt64(name.dropFirst(4)), var bytes = images[name] else { continue }
      let salt = Checksum.of(Samples.diskID, seed: segment)
      for place in stride(from: 0, to: max(0, bytes.count - 63), by: 64)
      where Array(bytes[place..<place + 4]) == Array("LKR1".utf8) {
        RecordForge.seal(&bytes, at: place, salt: salt)
      }
      images[name] = bytes
    }
  }
}
