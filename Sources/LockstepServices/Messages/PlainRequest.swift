import SwiftProtobuf

/// The quick look at a request of a plain message: one that has nothing but singular numbers, texts and bytes. A request
/// is decoded again when it is applied; to decode it before that as well, only to see that it can be, costs as much.
struct PlainRequest: Sendable {
  private enum Form: Sendable {
    case varint
    case fixed32
    case fixed64
    case text
    case bytes

    var wireType: UInt8 {
      switch self {
      case .varint: 0
      case .fixed64: 1
      case .text, .bytes: 2
      case .fixed32: 5
      }
    }
  }

  /// By field number; numbers up to 15 have tags of one byte.
  private let forms: [Form?]

  /// Nil: the message is not plain, or its decoder may refuse what has a plain form.
  init?(_ message: Google_Protobuf_DescriptorProto) {
    guard message.extensionRange.isEmpty else { return nil }
    var forms = [Form?](repeating: nil, count: 16)
    for field in message.field {
      guard field.label == .optional, (1...15).contains(field.number), let form = Self.form(field.type) else {
        return nil
      }
      forms[Int(field.number)] = form
    }
    self.forms = forms
  }

  private static func form(_ type: Google_Protobuf_FieldDescriptorProto.TypeEnum) -> Form? {
    switch type {
    case .int64, .uint64, .int32, .bool, .uint32, .sint32, .sint64: .varint
    case .double, .fixed64, .sfixed64: .fixed64
    case .float, .fixed32, .sfixed32: .fixed32
    case .string: .text
    case .bytes: .bytes
    case .group, .message, .enum: nil
    }
  }

  /// True only when the bytes decode for certain: fields that the message has, in their own wire types, whole, texts in
  /// UTF-8. False says nothing; the decoder itself is asked then.
  func surelyDecodes(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var place = 0
    while place < bytes.count {
      let tag = bytes[place]
      guard tag < 0x80, let form = forms[Int(tag >> 3)], tag & 7 == form.wireType else { return false }
      place &+= 1
      switch form {
      case .varint:
        guard PlainDecoder.varint(bytes, &place) != nil else { return false }
      case .fixed64: place &+= 8
      case .fixed32: place &+= 4
      case .text, .bytes:
        guard let length = PlainDecoder.varint(bytes, &place), length <= UInt64(bytes.count &- place) else {
          return false
        }
        let end = place &+ Int(length)
        if case .text = form, !PlainDecoder.isASCII(UnsafeRawBufferPointer(rebasing: bytes[place..<end])) {
          return false
        }
        place = end
      }
    }
    return place == bytes.count
  }
}

/// The messages of a schema by their full names.
struct SchemaMessages {
  private var all: [String: Google_Protobuf_DescriptorProto] = [:]

  init(_ set: Google_Protobuf_FileDescriptorSet) {
    for file in set.file where file.syntax == "proto3" {
      for message in file.messageType { add(message, in: file.package) }
    }
  }

  private mutating func add(_ message: Google_Protobuf_DescriptorProto, in scope: String) {
    let name = scope.isEmpty ? message.name : "\(scope).\(message.name)"
    all[name] = message
    for nested in message.nestedType { add(nested, in: name) }
  }

  func plain(_ name: String) -> PlainRequest? { all[name].flatMap { PlainRequest($0) } }
}
