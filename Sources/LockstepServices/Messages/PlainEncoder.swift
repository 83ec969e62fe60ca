public import SwiftProtobuf

#if canImport(FoundationEssentials)
  public import FoundationEssentials
#else
  public import Foundation
#endif

/// Encodes messages of numbers, texts, bytes and enums in one pass, to the bytes that the library gives in two; those
/// were most of the cost of a reply. What needs a length before its content, or an order, it leaves to the library: it
/// throws, and `stableBytes` begins again there.
@usableFromInline
struct PlainEncoder: Visitor {
  @usableFromInline var bytes: [UInt8] = []

  @inlinable
  init() {}

  // MARK: Bytes

  @inlinable
  mutating func varint(_ number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  @inlinable
  mutating func tag(_ field: Int, _ type: UInt64) { varint(UInt64(field) << 3 | type) }

  @inlinable
  mutating func number(_ number: UInt64, _ field: Int) {
    tag(field, 0)
    varint(number)
  }

  @inlinable
  mutating func fixed<Number: FixedWidthInteger>(_ number: Number, _ field: Int, _ type: UInt64) {
    tag(field, type)
    withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
  }

  @inlinable
  mutating func delimited(_ content: UnsafeRawBufferPointer, _ field: Int) {
    bytes.reserveCapacity(bytes.count + content.count + 16)
    tag(field, 2)
    varint(UInt64(content.count))
    bytes.append(contentsOf: content)
  }

  // MARK: Singular fields

  @inlinable
  mutating func visitSingularFloatField(value: Float, fieldNumber: Int) throws {
    fixed(value.bitPattern, fieldNumber, 5)
  }
  @inlinable
  mutating func visitSingularDoubleField(value: Double, fieldNumber: Int) throws {
    fixed(value.bitPattern, fieldNumber, 1)
  }
  @inlinable
  mutating func visitSingularInt32Field(value: Int32, fieldNumber: Int) throws {
    number(UInt64(bitPattern: Int64(value)), fieldNumber)
  }
  @inlinable
  mutating func visitSingularInt64Field(value: Int64, fieldNumber: Int) throws {
    number(UInt64(bitPattern: value), fieldNumber)
  }
  @inlinable
  mutating func visitSingularUInt32Field(value: UInt32, fieldNumber: Int) throws {
    number(UInt64(value), fieldNumber)
  }
  @inlinable
  mutating func visitSingularUInt64Field(value: UInt64, fieldNumber: Int) throws {
    number(value, fieldNumber)
  }
  @inlinable
  mutating func visitSingularSInt32Field(value: Int32, fieldNumber: Int) throws {
    number(UInt64(UInt32(bitPattern: value << 1 ^ value >> 31)), fieldNumber)
  }
  @inlinable
  mutating func visitSingularSInt64Field(value: Int64, fieldNumber: Int) throws {
    number(UInt64(bitPattern: value << 1 ^ value >> 63), fieldNumber)
  }
  @inlinable
  mutating func visitSingularFixed32Field(value: UInt32, fieldNumber: Int) throws {
    fixed(value, fieldNumber, 5)
  }
  @inlinable
  mutating func visitSingularFixed64Field(value: UInt64, fieldNumber: Int) throws {
    fixed(value, fieldNumber, 1)
  }
  @inlinable
  mutating func visitSingularSFixed32Field(value: Int32, fieldNumber: Int) throws {
    fixed(value, fieldNumber, 5)
  }
  @inlinable
  mutating func visitSingularSFixed64Field(value: Int64, fieldNumber: Int) throws {
    fixed(value, fieldNumber, 1)
  }
  @inlinable
  mutating func visitSingularBoolField(value: Bool, fieldNumber: Int) throws {
    number(value ? 1 : 0, fieldNumber)
  }
  @inlinable
  mutating func visitSingularStringField(value: String, fieldNumber: Int) throws {
    var value = value
    value.withUTF8 { delimited(UnsafeRawBufferPointer($0), fieldNumber) }
  }
  @inlinable
  mutating func visitSingularBytesField(value: Data, fieldNumber: Int) throws {
    value.withUnsafeBytes { delimited($0, fieldNumber) }
  }
  @inlinable
  mutating func visitSingularEnumField<E: Enum>(value: E, fieldNumber: Int) throws {
    number(UInt64(bitPattern: Int64(value.rawValue)), fieldNumber)
  }
  /// Fields that came with a message and are not in its schema, as they were.
  @inlinable
  mutating func visitUnknown(bytes unknown: Data) throws { bytes.append(contentsOf: unknown) }
}

// MARK: What is left to the library

extension PlainEncoder {
  @usableFromInline
  mutating func visitSingularMessageField<M: SwiftProtobuf.Message>(value: M, fieldNumber: Int) throws {
    throw NotPlain()
  }
  @usableFromInline
  mutating func visitSingularGroupField<G: SwiftProtobuf.Message>(value: G, fieldNumber: Int) throws {
    throw NotPlain()
  }
  @usableFromInline
  mutating func visitMapField<KeyType, ValueType: MapValueType>(
    fieldType: _ProtobufMap<KeyType, ValueType>.Type, value: _ProtobufMap<KeyType, ValueType>.BaseType,
    fieldNumber: Int
  ) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitMapField<KeyType, ValueType>(
    fieldType: _ProtobufEnumMap<KeyType, ValueType>.Type, value: _ProtobufEnumMap<KeyType, ValueType>.BaseType,
    fieldNumber: Int
  ) throws where ValueType.RawValue == Int { throw NotPlain() }
  @usableFromInline
  mutating func visitMapField<KeyType, ValueType>(
    fieldType: _ProtobufMessageMap<KeyType, ValueType>.Type, value: _ProtobufMessageMap<KeyType, ValueType>.BaseType,
    fieldNumber: Int
  ) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitExtensionFields(fields: ExtensionFieldValueSet, start: Int, end: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitExtensionFieldsAsMessageSet(fields: ExtensionFieldValueSet, start: Int, end: Int) throws {
    throw NotPlain()
  }
  @usableFromInline
  mutating func visitPackedEnumField<E: Enum>(value: [E], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedFloatField(value: [Float], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedDoubleField(value: [Double], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedInt32Field(value: [Int32], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedInt64Field(value: [Int64], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedUInt32Field(value: [UInt32], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedUInt64Field(value: [UInt64], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedSInt32Field(value: [Int32], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedSInt64Field(value: [Int64], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedFixed32Field(value: [UInt32], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedFixed64Field(value: [UInt64], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedSFixed32Field(value: [Int32], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedSFixed64Field(value: [Int64], fieldNumber: Int) throws { throw NotPlain() }
  @usableFromInline
  mutating func visitPackedBoolField(value: [Bool], fieldNumber: Int) throws { throw NotPlain() }
}
