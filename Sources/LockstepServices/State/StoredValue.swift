public import LockstepExecution
public import SwiftProtobuf

/// What a `TextMap` can hold: a value that is written to snapshots and counted in digests.
///
/// `String`, `Int64` and `UInt64` are such values, and a protobuf message becomes one by saying so:
/// ```swift
/// extension Bank_V1_Account: StoredValue {}
/// ```
public protocol StoredValue: Sendable {
  /// Appends the value's bytes; the same for equal values, on every replica.
  func encode(into bytes: inout [UInt8])

  /// The value from exactly the bytes that `encode` appended, or `dataLoss` when they are no such value.
  init(decoding bytes: RawSpan) throws(CallStatus)

  /// Feeds what makes this value differ from another; by default its bytes.
  func hash(into hasher: inout StableHasher)
}

extension StoredValue {
  public func hash(into hasher: inout StableHasher) {
    var bytes: [UInt8] = []
    encode(into: &bytes)
    hasher.combine(bytes: bytes.span.bytes)
  }
}

extension StoredValue where Self: FixedWidthInteger {
  /// Appends the number with its lowest byte first: 8 bytes for `Int64` and `UInt64`.
  public func encode(into bytes: inout [UInt8]) {
    withUnsafeBytes(of: littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// The number; throws `dataLoss` when there are more or fewer bytes than its type has.
  public init(decoding bytes: RawSpan) throws(CallStatus) {
    guard bytes.byteCount == MemoryLayout<Self>.size else {
      throw CallStatus(.dataLoss, "a stored number has \(bytes.byteCount) bytes, must have \(MemoryLayout<Self>.size)")
    }
    self.init(littleEndian: bytes.withUnsafeBytes { $0.loadUnaligned(as: Self.self) })
  }

  public func hash(into hasher: inout StableHasher) { hasher.combine(UInt64(truncatingIfNeeded: self)) }
}

extension Int64: StoredValue {}
extension UInt64: StoredValue {}

extension String: StoredValue {
  /// Appends the text's UTF-8, without its length.
  public func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: utf8) }

  /// The text; throws `dataLoss` when the bytes are not UTF-8.
  public init(decoding bytes: RawSpan) throws(CallStatus) {
    guard let text = bytes.withUnsafeBytes({ String(ofUTF8: $0) }) else {
      throw CallStatus(.dataLoss, "a stored text is not UTF-8")
    }
    self = text
  }

  public func hash(into hasher: inout StableHasher) { hasher.combine(self) }
}

extension StoredValue where Self: SwiftProtobuf.Message {
  /// Appends the serialized message, with the entries of maps in a fixed order. Required fields may be missing; a
  /// message of more than 2 GB ends the process.
  public func encode(into bytes: inout [UInt8]) {
    var options = BinaryEncodingOptions()
    options.useDeterministicOrdering = true
    // A stored message may lack required fields, so size alone is left to fail on: 2 GB, more than a request can bring.
    guard let encoded: [UInt8] = try? serializedBytes(partial: true, options: options) else {
      preconditionFailure("a stored \(Self.protoMessageName) is larger than 2 GB")
    }
    bytes.append(contentsOf: encoded)
  }

  /// The message, whose required fields may be missing; throws `dataLoss` when the bytes do not decode.
  public init(decoding bytes: RawSpan) throws(CallStatus) {
    do {
      try self.init(serializedBytes: bytes, partial: true)
    } catch {
      throw CallStatus(.dataLoss, "a stored \(Self.protoMessageName) does not decode")
    }
  }
}
