import LockstepWire

/// One kind of message: how it is read, and what must hold of what was read.
struct MessageCheck {
  let name: String
  let seeds: () -> [[UInt8]]
  /// Throws when the bytes are refused; ends the process when something does not hold.
  let run: (Codec, UnsafeRawBufferPointer) throws(WireError) -> Void

  /// A message that comes back as it was when it is packed and unpacked again, and then packs to the same bytes.
  static func roundTrip<Value>(
    _ name: String, _ samples: @escaping @autoclosure () -> [Value], pack: @escaping (Codec, Value) -> Void,
    unpack: @escaping (Codec, UnsafeRawBufferPointer) throws(WireError) -> Value,
    same: @escaping (Value, Value) -> Bool
  ) -> MessageCheck {
    MessageCheck(
      name: name,
      seeds: {
        let codec = Codec(maximumMessage: 0)
        return samples().map { sample in
          pack(codec, sample)
          return codec.packed
        }
      },
      run: { codec, bytes throws(WireError) in
        let value = try unpack(codec, bytes)
        pack(codec, value)
        let packed = codec.packed
        let again = whole(name) { () throws(WireError) in
          try reading(packed) { (bytes) throws(WireError) in try unpack(codec, bytes) }
        }
        demand(same(value, again), "\(name): \(value) came back as \(again)")
        pack(codec, again)
        demand(codec.packed == packed, "\(name): packs to other bytes the second time")
      })
  }

  static func roundTrip<Value: Equatable>(
    _ name: String, _ samples: @escaping @autoclosure () -> [Value], pack: @escaping (Codec, Value) -> Void,
    unpack: @escaping (Codec, UnsafeRawBufferPointer) throws(WireError) -> Value
  ) -> MessageCheck {
    roundTrip(name, samples(), pack: pack, unpack: unpack, same: ==)
  }
}

/// What must not be refused.
func whole<Result>(_ what: String, _ body: () throws(WireError) -> Result) -> Result {
  do throws(WireError) { return try body() } catch { violated("\(what): refused what was packed: \(error)") }
}

func reading<Result>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(WireError) -> Result
) throws(WireError) -> Result {
  let outcome = bytes.withUnsafeBytes { bytes -> Swift.Result<Result, WireError> in
    do throws(WireError) { return .success(try body(bytes)) } catch { return .failure(error) }
  }
  return try outcome.get()
}

extension FuzzTarget {
  /// An input is the place of a check in the list, and the message.
  static func messages(_ name: String, about: String, _ checks: [MessageCheck]) -> FuzzTarget {
    // One for each loop, as in a node: what a message leaves behind in it must not matter to the next.
    let codec = Codec(maximumMessage: 64 * 1024)
    return FuzzTarget(
      name, about: about + ": " + checks.map(\.name).joined(separator: ", "), maximumLength: 4096,
      allowance: { 128 * 1024 + 64 * $0 },
      seeds: { checks.enumerated().flatMap { place, check in check.seeds().map { [UInt8(place)] + $0 } } },
      run: { bytes in
        guard let first = bytes.first else { return false }
        let check = checks[Int(first) % checks.count]
        do throws(WireError) {
          try check.run(codec, UnsafeRawBufferPointer(rebasing: bytes.dropFirst()))
          return true
        } catch {
          demand(!error.message.isEmpty, "\(check.name): refused without a reason")
          return false
        }
      })
  }
}
