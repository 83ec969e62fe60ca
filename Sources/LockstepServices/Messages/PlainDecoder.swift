public import SwiftProtobuf

#if canImport(FoundationEssentials)
  public import FoundationEssentials
#else
  public import Foundation
#endif

/// Decodes messages of singular numbers, texts, bytes and enums, and of such messages: what most requests are made of. It
/// takes part in the generated code as the library's own decoder does, and gives the same messages; the library's looks at
/// a text byte by byte, which was most of the cost of a command. Whatever it is not made for, or finds wrong, it leaves to the library:
/// it throws, and `decoded` begins again there, so that what is refused, and what is kept as an unknown field, is decided
/// in one place.
@usableFromInline
struct PlainDecoder: Decoder {
  @usableFromInline let bytes: UnsafeRawBufferPointer
  @usableFromInline var place = 0
  @usableFromInline var wireType: UInt8 = 0
  /// The field that was announced last has not been decoded: the message does not have it, or not in this form.
  @usableFromInline var isPending = false

  /// In how many messages this one lies.
  @usableFromInline let depth: Int

  /// Borrows the bytes.
  @inlinable
  init(_ bytes: UnsafeRawBufferPointer, depth: Int = 0) {
    self.bytes = bytes
    self.depth = depth
  }

  @inlinable
  mutating func nextFieldNumber() throws -> Int? {
    guard !isPending else { throw NotPlain() }
    guard place < bytes.count else { return nil }
    let tag = try varint()
    guard tag >= 8, tag < 1 << 32 else { throw NotPlain() }
    wireType = UInt8(truncatingIfNeeded: tag & 7)
    isPending = true
    return Int(tag >> 3)
  }

  // MARK: Bytes

  @inlinable
  mutating func varint() throws -> UInt64 {
    guard let value = Self.varint(bytes, &place) else { throw NotPlain() }
    return value
  }

  /// Of up to nine bytes: the tenth has rules of its own.
  @inlinable
  static func varint(_ bytes: UnsafeRawBufferPointer, _ place: inout Int) -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while place < bytes.count, shift < 63 {
      let byte = bytes[place]
      place &+= 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift &+= 7
    }
    return nil
  }

  @inlinable
  mutating func begin(_ type: UInt8) throws {
    guard wireType == type else { throw NotPlain() }
    isPending = false
  }

  @inlinable
  mutating func number() throws -> UInt64 {
    try begin(0)
    return try varint()
  }

  @inlinable
  mutating func fixed<Number: FixedWidthInteger>(_: Number.Type, _ type: UInt8) throws -> Number {
    try begin(type)
    guard bytes.count - place >= MemoryLayout<Number>.size else { throw NotPlain() }
    defer { place &+= MemoryLayout<Number>.size }
    return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: Number.self))
  }

  @inlinable
  mutating func delimited() throws -> UnsafeRawBufferPointer {
    try begin(2)
    let count = try varint()
    guard count <= UInt64(bytes.count - place) else { throw NotPlain() }
    let start = place
    place &+= Int(count)
    return UnsafeRawBufferPointer(rebasing: bytes[start..<place])
  }

  @inlinable
  mutating func text() throws -> String {
    let bytes = try delimited()
    // This initializer is the quickest, and repairs what is not UTF-8, where the library refuses it.
    if Self.isASCII(bytes) { return String(decoding: bytes, as: UTF8.self) }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw NotPlain() }
    return text
  }

  @inlinable
  static func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
    func words(_ place: Int) -> SIMD2<UInt64> { bytes.loadUnaligned(fromByteOffset: place, as: SIMD2<UInt64>.self) }
    var place = 0
    var pairs = SIMD2<UInt64>()
    while place &+ 64 <= bytes.count {
      pairs |= words(place) | words(place &+ 16) | words(place &+ 32) | words(place &+ 48)
      place &+= 64
    }
    var bits = pairs[0] | pairs[1]
    while place &+ 8 <= bytes.count {
      bits |= bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
      place &+= 8
    }
    while place < bytes.count {
      bits |= UInt64(bytes[place])
      place &+= 1
    }
    return bits & 0x8080_8080_8080_8080 == 0
  }

  // MARK: Singular fields

  @inlinable
  mutating func decodeSingularFloatField(value: inout Float) throws {
    value = Float(bitPattern: try fixed(UInt32.self, 5))
  }
  @inlinable
  mutating func decodeSingularFloatField(value: inout Float?) throws {
    value = Float(bitPattern: try fixed(UInt32.self, 5))
  }
  @inlinable
  mutating func decodeSingularDoubleField(value: inout Double) throws {
    value = Double(bitPattern: try fixed(UInt64.self, 1))
  }
  @inlinable
  mutating func decodeSingularDoubleField(value: inout Double?) throws {
    value = Double(bitPattern: try fixed(UInt64.self, 1))
  }
  @inlinable
  mutating func decodeSingularInt32Field(value: inout Int32) throws { value = Int32(truncatingIfNeeded: try number()) }
  @inlinable
  mutating func decodeSingularInt32Field(value: inout Int32?) throws { value = Int32(truncatingIfNeeded: try number()) }
  @inlinable
  mutating func decodeSingularInt64Field(value: inout Int64) throws { value = Int64(bitPattern: try number()) }
  @inlinable
  mutating func decodeSingularInt64Field(value: inout Int64?) throws { value = Int64(bitPattern: try number()) }
  @inlinable
  mutating func decodeSingularUInt32Field(value: inout UInt32) throws {
    value = UInt32(truncatingIfNeeded: try number())
  }
  @inlinable
  mutating func decodeSingularUInt32Field(value: inout UInt32?) throws {
    value = UInt32(truncatingIfNeeded: try number())
  }
  @inlinable
  mutating func decodeSingularUInt64Field(value: inout UInt64) throws { value = try number() }
  @inlinable
  mutating func decodeSingularUInt64Field(value: inout UInt64?) throws { value = try number() }
  @inlinable
  mutating func decodeSingularSInt32Field(value: inout Int32) throws {
    value = Self.unfolded(UInt32(truncatingIfNeeded: try number()))
  }
  @inlinable
  mutating func decodeSingularSInt32Field(value: inout Int32?) throws {
    value = Self.unfolded(UInt32(truncatingIfNeeded: try number()))
  }
  @inlinable
  mutating func decodeSingularSInt64Field(value: inout Int64) throws { value = Self.unfolded(try number()) }
  @inlinable
  mutating func decodeSingularSInt64Field(value: inout Int64?) throws { value = Self.unfolded(try number()) }
  @inlinable
  mutating func decodeSingularFixed32Field(value: inout UInt32) throws { value = try fixed(UInt32.self, 5) }
  @inlinable
  mutating func decodeSingularFixed32Field(value: inout UInt32?) throws { value = try fixed(UInt32.self, 5) }
  @inlinable
  mutating func decodeSingularFixed64Field(value: inout UInt64) throws { value = try fixed(UInt64.self, 1) }
  @inlinable
  mutating func decodeSingularFixed64Field(value: inout UInt64?) throws { value = try fixed(UInt64.self, 1) }
  @inlinable
  mutating func decodeSingularSFixed32Field(value: inout Int32) throws { value = try fixed(Int32.self, 5) }
  @inlinable
  mutating func decodeSingularSFixed32Field(value: inout Int32?) throws { value = try fixed(Int32.self, 5) }
  @inlinable
  mutating func decodeSingularSFixed64Field(value: inout Int64) throws { value = try fixed(Int64.self, 1) }
  @inlinable
  mutating func decodeSingularSFixed64Field(value: inout Int64?) throws { value = try fixed(Int64.self, 1) }
  @inlinable
  mutating func decodeSingularBoolField(value: inout Bool) throws { value = try number() != 0 }
  @inlinable
  mutating func decodeSingularBoolField(value: inout Bool?) throws { value = try number() != 0 }
  @inlinable
  mutating func decodeSingularStringField(value: inout String) throws { value = try text() }
  @inlinable
  mutating func decodeSingularStringField(value: inout String?) throws { value = try text() }
  @inlinable
  mutating func decodeSingularBytesField(value: inout Data) throws { value = Data(try delimited()) }
  @inlinable
  mutating func decodeSingularBytesField(value: inout Data?) throws { value = Data(try delimited()) }

  @inlinable
  mutating func decodeSingularEnumField<E: Enum>(value: inout E) throws where E.RawValue == Int {
    // A number without a name of a closed enum is an unknown field.
    guard let known = E(rawValue: Int(Int32(truncatingIfNeeded: try number()))) else { throw NotPlain() }
    value = known
  }

  @inlinable
  mutating func decodeSingularEnumField<E: Enum>(value: inout E?) throws where E.RawValue == Int {
    // A number without a name of a closed enum is an unknown field.
    guard let known = E(rawValue: Int(Int32(truncatingIfNeeded: try number()))) else { throw NotPlain() }
    value = known
  }

  // MARK: Messages in messages

  /// The second of a message that is there once is merged with the first.
  @inlinable
  mutating func decodeSingularMessageField<M: SwiftProtobuf.Message>(value: inout M?) throws {
    guard value == nil else { throw NotPlain() }
    value = try message(M.self)
  }

  @inlinable
  mutating func decodeRepeatedMessageField<M: SwiftProtobuf.Message>(value: inout [M]) throws {
    value.append(try message(M.self))
  }

  /// How deep messages may lie in each other here; more is for the library, which has a limit of its own.
  @inlinable static var deepest: Int { 8 }

  @inlinable
  mutating func message<M: SwiftProtobuf.Message>(_: M.Type) throws -> M {
    guard depth < Self.deepest else { throw NotPlain() }
    var decoder = PlainDecoder(try delimited(), depth: depth + 1)
    var message = M()
    try message.decodeMessage(decoder: &decoder)
    return message
  }

  @inlinable
  static func unfolded(_ number: UInt64) -> Int64 { Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1) }

  @inlinable
  static func unfolded(_ number: UInt32) -> Int32 { Int32(bitPattern: number >> 1) ^ -Int32(bitPattern: number & 1) }

  @inlinable
  mutating func handleConflictingOneOf() throws {}
}

/// The library is to do it.
@usableFromInline
struct NotPlain: Error {
  @inlinable
  init() {}
}

// MARK: What is left to the library

extension PlainDecoder {
  @usableFromInline
  mutating func decodeRepeatedFloatField(value: inout [Float]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedDoubleField(value: inout [Double]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedInt32Field(value: inout [Int32]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedInt64Field(value: inout [Int64]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedUInt32Field(value: inout [UInt32]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedUInt64Field(value: inout [UInt64]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedSInt32Field(value: inout [Int32]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedSInt64Field(value: inout [Int64]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedFixed32Field(value: inout [UInt32]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedFixed64Field(value: inout [UInt64]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedSFixed32Field(value: inout [Int32]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedSFixed64Field(value: inout [Int64]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedBoolField(value: inout [Bool]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedStringField(value: inout [String]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedBytesField(value: inout [Data]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedEnumField<E: Enum>(value: inout [E]) throws where E.RawValue == Int { throw NotPlain() }
  @usableFromInline
  mutating func decodeSingularGroupField<G: SwiftProtobuf.Message>(value: inout G?) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeRepeatedGroupField<G: SwiftProtobuf.Message>(value: inout [G]) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeMapField<KeyType, ValueType: MapValueType>(
    fieldType: _ProtobufMap<KeyType, ValueType>.Type, value: inout _ProtobufMap<KeyType, ValueType>.BaseType
  ) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeMapField<KeyType, ValueType>(
    fieldType: _ProtobufEnumMap<KeyType, ValueType>.Type, value: inout _ProtobufEnumMap<KeyType, ValueType>.BaseType
  ) throws where ValueType.RawValue == Int { throw NotPlain() }
  @usableFromInline
  mutating func decodeMapField<KeyType, ValueType>(
    fieldType: _ProtobufMessageMap<KeyType, ValueType>.Type,
    value: inout _ProtobufMessageMap<KeyType, ValueType>.BaseType
  ) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeExtensionField(
    values: inout ExtensionFieldValueSet, messageType: any SwiftProtobuf.Message.Type, fieldNumber: Int
  ) throws { throw NotPlain() }
  @usableFromInline
  mutating func decodeExtensionFieldsAsMessageSet(
    values: inout ExtensionFieldValueSet, messageType: any SwiftProtobuf.Message.Type
  ) throws { throw NotPlain() }
}
