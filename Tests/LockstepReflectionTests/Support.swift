import LockstepReflection
import Testing

/// The pool of rich.proto and old.proto.
func richPool() throws -> DescriptorPool { try DescriptorPool(fileDescriptorSet: richDescriptorSet) }

func richType(_ name: String) throws -> MessageType { try richPool().message(named: "rich.v1." + name) }

/// The text of the error that the body throws; `nil` when it throws none.
func errorText(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return "\(error)"
  }
}

/// Protobuf wire format by hand, for messages that no honest writer makes.
struct Wire {
  private(set) var bytes: [UInt8] = []

  init() {}

  static func varint(_ value: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  func int(_ number: UInt64, _ value: UInt64) -> Wire { adding(Self.varint(number << 3) + Self.varint(value)) }

  func bytes(_ number: UInt64, _ value: [UInt8]) -> Wire {
    adding(Self.varint(number << 3 | 2) + Self.varint(UInt64(value.count)) + value)
  }

  func text(_ number: UInt64, _ value: String) -> Wire { bytes(number, Array(value.utf8)) }

  func message(_ number: UInt64, _ value: Wire) -> Wire { bytes(number, value.bytes) }

  func adding(_ more: [UInt8]) -> Wire {
    var copy = self
    copy.bytes += more
    return copy
  }
}

/// Descriptors by hand.
extension Wire {
  static func file(_ content: Wire, package: String = "p", syntax: String = "proto3") -> [UInt8] {
    Wire().message(1, Wire().text(1, "p.proto").text(2, package).adding(content.bytes).text(12, syntax)).bytes
  }

  /// Type numbers are those of descriptor.proto: 5 int32, 9 string, 11 message, 14 enum.
  static func field(
    _ name: String, _ number: UInt64, _ type: UInt64, label: UInt64 = 1, of typeName: String? = nil, more: Wire = Wire()
  ) -> Wire {
    let field = Wire().text(1, name).int(3, number).int(4, label).int(5, type)
    return (typeName.map { field.text(6, $0) } ?? field).adding(more.bytes)
  }

  static func message(_ name: String, _ fields: [Wire] = [], more: Wire = Wire()) -> Wire {
    fields.reduce(Wire().text(1, name)) { $0.message(2, $1) }.adding(more.bytes)
  }
}
