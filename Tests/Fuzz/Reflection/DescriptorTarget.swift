@testable import LockstepReflection

extension FuzzTarget {
  /// An input is: whether a set follows, or edits of an honest one; the length of a message, and the message; the rest.
  static var descriptors: FuzzTarget {
    FuzzTarget(
      "descriptors", about: "descriptor sets: refused, or all of it can be shown, and every type be used",
      maximumLength: 2048, allowance: { 4 << 20 + 1024 * $0 }, seeds: SchemaSeeds.all,
      run: { bytes in
        var input = FuzzInput(bytes)
        let isScript = input.byte() & 1 != 0
        let message = [UInt8](input.take(Int(input.byte())))
        let set = isScript ? edited(&input) : [UInt8](input.rest())
        do throws(ReflectionError) {
          check(try DescriptorPool(fileDescriptorSet: set), message)
          return true
        } catch {
          demand(error.kind == .schema && !error.message.isEmpty, "\(error.kind): \(error)")
          return false
        }
      })
  }

  private static func edited(_ input: inout FuzzInput) -> [UInt8] {
    let tree = WireTree(1, SchemaSeeds.set[...])
    for _ in 0..<12 where !input.isEmpty { tree.edit(&input) }
    return tree.bytes
  }

  private static func check(_ pool: DescriptorPool, _ message: [UInt8]) {
    demand(!ProtoText.describe(pool).isEmpty || pool.files.isEmpty, "a file of which nothing is shown")
    do throws(ReflectionError) {
      for service in pool.services.prefix(3) {
        demand(try pool.service(named: service.name).name == service.name, "another service than \(service.name)")
        for method in service.methods.prefix(3) {
          demand(try pool.method(named: method.fullName).fullName == method.fullName, "another method")
          _ = try ProtoText.describe(pool, symbol: method.fullName)
        }
      }
      for name in pool.graph.messageNames.prefix(4) {
        _ = try ProtoText.describe(pool, symbol: name)
        for message in [[], message] { use(try pool.message(named: name), message) }
      }
    } catch { violated("what the pool has, it does not know: \(error)") }
  }

  /// Names may stand for two fields here, so not everything that is shown can be written; but what was written is whole.
  private static func use(_ type: MessageType, _ message: [UInt8]) {
    for options in JSONChecks.options {
      guard let shown = try? type.decode(message, options: options) else { continue }
      JSONChecks.check(text: shown)
      guard let written = try? type.encode(shown) else { continue }
      do throws(ReflectionError) { _ = try type.decode(written, options: options) } catch {
        violated("\(type.fullName) that was written is refused: \(error)")
      }
    }
  }
}

/// A set with something of everything.
enum SchemaSeeds {
  static func all() -> [[UInt8]] {
    let message = Protobuf().integer(1, 5).text(2, "x").message(3, Protobuf().text(1, "k").integer(2, 1)).bytes
    let head = [UInt8(message.count)] + message
    let edits: [[UInt8]] = [[7, 0, 3], [20, 2, 2, 65, 66], [9, 3, 4], [12, 4, 30], [3, 5, 0, 0], [3, 5, 200, 9]]
    return [set, [], Array(set.prefix(60))].map { [0] + head + $0 }
      + ([[]] + edits).map { [1] + head + $0 }
  }

  static let set: [UInt8] = {
    let file = Protobuf().text(1, "p.proto").text(2, "p").text(3, "google/protobuf/timestamp.proto")
      .message(4, everything).message(5, enumeration("Color", ["RED", "BLUE"])).message(6, service)
      .text(12, "proto3")
    let old = Protobuf().text(1, "old.proto")
      .message(4, message("Old", field("name", 1, 9, label: 2).text(7, "d\"\n"), list))
    let time = message("Timestamp", field("seconds", 1, 3), field("nanos", 2, 5))
    let google = Protobuf().text(1, "google/protobuf/timestamp.proto").text(2, "google.protobuf").message(4, time)
      .text(12, "proto3")
    return [google, file, old].reduce(Protobuf()) { $0.message(1, $1) }.bytes
  }()

  private static var list: Protobuf { field("list", 2, 5, label: 3).message(8, Protobuf().integer(2, 1)) }

  private static var everything: Protobuf {
    let entry = message("CountsEntry", field("key", 1, 9), field("value", 2, 3)).message(7, Protobuf().integer(7, 1))
    return message(
      "M", field("number", 1, 5), field("text_value", 2, 9).text(10, "textual"),
      field("counts", 3, 11, label: 3, of: ".p.M.CountsEntry"), field("next", 4, 11, of: ".p.M").integer(9, 0),
      field("color", 5, 14, of: ".p.Color").integer(9, 0), field("maybe", 6, 1).integer(9, 1).integer(17, 1),
      field("times", 7, 11, label: 3, of: ".google.protobuf.Timestamp"), field("bools", 8, 8, label: 3)
    ).message(3, entry).message(4, enumeration("Mode", ["OFF"])).message(8, Protobuf().text(1, "choice"))
      .message(8, Protobuf().text(1, "_maybe"))
  }

  private static var service: Protobuf {
    let method = Protobuf().text(1, "Get").text(2, ".p.M").text(3, ".p.M")
    return Protobuf().text(1, "S").message(2, method.message(4, Protobuf().integer(34, 1)))
      .message(2, Protobuf().text(1, "Put").text(2, ".p.M").text(3, ".p.M.CountsEntry").integer(6, 1))
  }

  private static func message(_ name: String, _ fields: Protobuf...) -> Protobuf {
    fields.reduce(Protobuf().text(1, name)) { $0.message(2, $1) }
  }

  /// Types have the numbers of descriptor.proto: 5 is int32, 9 string, 11 a message, 14 an enum.
  private static func field(
    _ name: String, _ number: UInt64, _ type: UInt64, label: UInt64 = 1, of typeName: String? = nil
  ) -> Protobuf {
    let field = Protobuf().text(1, name).integer(3, number).integer(4, label).integer(5, type)
    return typeName.map { field.text(6, $0) } ?? field
  }

  private static func enumeration(_ name: String, _ values: [String]) -> Protobuf {
    values.enumerated().reduce(Protobuf().text(1, name)) {
      $0.message(2, Protobuf().text(1, $1.element).integer(2, UInt64($1.offset)))
    }
  }
}
