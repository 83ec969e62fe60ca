package import LockstepConsensus

/// Encodes consecutive entries into memory that is there already: see `EntryBlock`.
package struct EntryWriter {
  var target = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  /// Bytes written.
  private(set) var count = 0
  private(set) var ends: [Int] = []
  private(set) var terms: [Term] = []
  /// The chain hash of the last entry.
  private(set) var chain: UInt64
  private let first: LogIndex

  init(first: LogIndex, chain: UInt64, entries: Int) {
    self.first = first
    self.chain = chain
    ends.reserveCapacity(entries)
    terms.reserveCapacity(entries)
  }

  /// Adds an entry. Method and payload are copied once, here.
  package mutating func append(
    term: Term, kind: EntryKind, timestamp: UInt64 = 0, machineVersion: UInt32 = 0, session: UInt64 = 0,
    sequence: UInt64 = 0, method: UnsafeRawBufferPointer = .init(start: nil, count: 0),
    payload: UnsafeRawBufferPointer = .init(start: nil, count: 0)
  ) {
    let index = first.advanced(by: ends.count).rawValue
    let size =
      WireWriter.size(1, term.rawValue) + WireWriter.size(2, index) + WireWriter.size(3, UInt64(kind.rawValue))
      + WireWriter.size(4, timestamp) + WireWriter.size(5, UInt64(machineVersion)) + WireWriter.size(6, session)
      + WireWriter.size(7, sequence) + WireWriter.size(8, method) + WireWriter.size(9, payload)
      + EntryHeader.chainLength
    let whole = 1 + Varint.size(UInt64(size)) + size
    precondition(whole <= target.count - count, "an entry that has no room")
    let base = target.baseAddress.unsafelyUnwrapped + count
    base.storeBytes(of: EntryBlock.tag, as: UInt8.self)
    let head = 1 + Varint.write(UInt64(size), to: base + 1)
    var entry = WireWriter(base + head)
    entry.number(1, term.rawValue)
    entry.number(2, index)
    entry.number(3, UInt64(kind.rawValue))
    entry.number(4, timestamp)
    entry.number(5, UInt64(machineVersion))
    entry.number(6, session)
    entry.number(7, sequence)
    entry.bytes(8, method)
    entry.bytes(9, payload)
    // The hash is over the entry without its own field.
    chain = EntryHeader.expectedChain(of: UnsafeRawBufferPointer(start: base + head, count: size), after: chain)
    entry.fixed64(15, chain)
    count += whole
    ends.append(count)
    terms.append(term)
  }
}

extension EntryBlock {
  /// The most that an entry takes beside its method and its payload.
  package static let overheadBytes = 96

  /// Encodes one more entry behind the last.
  package mutating func append(
    term: Term, kind: EntryKind, timestamp: UInt64 = 0, machineVersion: UInt32 = 0, session: UInt64 = 0,
    sequence: UInt64 = 0, method: UnsafeRawBufferPointer = .init(start: nil, count: 0),
    payload: UnsafeRawBufferPointer = .init(start: nil, count: 0)
  ) {
    let capacity = Self.overheadBytes + method.count + payload.count
    append(
      contentsOf: EntryBlock(first: last.next, previousChain: lastChain, entries: 1, capacity: capacity) {
        $0.append(
          term: term, kind: kind, timestamp: timestamp, machineVersion: machineVersion, session: session,
          sequence: sequence, method: method, payload: payload)
      })
  }
}
