import LockstepConsensus
import LockstepWire

extension FuzzTarget {
  static var disk: FuzzTarget {
    messages(
      "disk", about: "messages in the files of a node",
      [
        .onDisk(
          "segment header", [Samples.segment], encode: { $0.encoded() },
          decode: { bytes throws(WireError) in try SegmentHeader(decoding: bytes) }),
        .onDisk(
          "identity", [Samples.identity], encode: { $0.encoded() },
          decode: { bytes throws(WireError) in try DiskIdentity(decoding: bytes) }),
        .onDisk(
          "acknowledged", [Samples.acknowledged], encode: { Acknowledged.encoded($0) },
          decode: { bytes throws(WireError) in try Acknowledged.decoded(bytes) }),
        .batch, .chainedBatch,
      ])
  }
}

extension MessageCheck {
  fileprivate static func onDisk<Value: Equatable>(
    _ name: String, _ samples: [Value], encode: @escaping (Value) -> [UInt8],
    decode: @escaping (UnsafeRawBufferPointer) throws(WireError) -> Value
  ) -> MessageCheck {
    MessageCheck(
      name: name, seeds: { samples.map(encode) },
      run: { _, bytes throws(WireError) in
        let value = try decode(bytes)
        let encoded = encode(value)
        let again = whole(name) { () throws(WireError) in try reading(encoded, decode) }
        demand(again == value && encode(again) == encoded, "\(name): \(value) came back as \(again)")
      })
  }

  fileprivate static var batch: MessageCheck {
    MessageCheck(
      name: "log batch", seeds: { [Samples.packed(Samples.batch) + Samples.block(3).bytes, [8, 1]] },
      run: { _, bytes throws(WireError) in
        let (header, entries) = try LogBatchHeader.parse(bytes)
        demand(entries.upperBound == bytes.count, "entries that do not reach to the end")
        let packed = Samples.packed(header)
        let again = whole("log batch") { () throws(WireError) in
          try reading(packed) { (bytes) throws(WireError) in try LogBatchHeader.parse(bytes) }
        }
        demand(again.header == header && again.entries.isEmpty, "log batch: \(header) came back as \(again.header)")
        guard !entries.isEmpty else { return }
        let region = UnsafeRawBufferPointer(rebasing: bytes[entries])
        let block = try EntryBlock(
          slicing: region, first: header.first, previousTerm: .zero, previousChain: header.previousChain)
        EntryChecks.check(block, previousTerm: .zero)
      })
  }

  /// A batch whose hash chain is put right first.
  fileprivate static var chainedBatch: MessageCheck {
    MessageCheck(
      name: "chained log batch", seeds: { batch.seeds() },
      run: { codec, bytes throws(WireError) in
        try reading(Chain.repaired(logBatch: [UInt8](bytes))) { (bytes) throws(WireError) in
          try batch.run(codec, bytes)
        }
      })
  }
}
