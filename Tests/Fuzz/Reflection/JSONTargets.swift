@testable import LockstepReflection

extension FuzzTarget {
  /// An input is the place of a type in the list, and JSON, or a script that makes some.
  static var json: FuzzTarget {
    FuzzTarget(
      "json", about: "JSON to a message by a descriptor: refused, or shown and read again it is the same",
      maximumLength: 2048, allowance: { 1 << 20 + 512 * $0 },
      seeds: {
        let scripts = RichTypes.all.indices.map { [UInt8($0) | 0x80] + (0..<40).map { UInt8(($0 * 37) & 0xFF) } }
        return RichTypes.examples.map { [$0.type] + Array($0.json.utf8) } + scripts
      },
      run: { bytes in
        var input = FuzzInput(bytes)
        let first = input.byte()
        let place = Int(first & 0x7F) % RichTypes.all.count
        if first & 0x80 != 0 {
          var script = JSONScript(RichTypes.pool.graph, input)
          return check(script.message(RichTypes.positions[place]), as: RichTypes.all[place])
        }
        let text = [UInt8](input.rest())
        do throws(JSONSyntaxError) { return check(try JSONValue(parsing: text), as: RichTypes.all[place]) } catch {
          let isInside = error.offset <= text.count && error.line >= 1 && error.column >= 1
          demand(isInside && !error.reason.isEmpty, "\(error)")
          return false
        }
      })
  }

  private static func check(_ value: JSONValue, as type: MessageType) -> Bool {
    JSONChecks.check(text: value)
    do throws(ReflectionError) {
      JSONChecks.roundTrip(type, try type.encode(value))
      return true
    } catch {
      demand(error.kind == .json && !error.message.isEmpty, "\(error.kind): \(error)")
      return false
    }
  }

  /// An input is the place of a type in the list, and a message.
  static var messages: FuzzTarget {
    FuzzTarget(
      "messages", about: "a message to JSON by a descriptor: refused, or read and shown again it is the same",
      maximumLength: 2048, allowance: { 1 << 20 + 512 * $0 },
      seeds: {
        RichTypes.examples.map { example in
          do {
            return [example.type] + (try RichTypes.all[Int(example.type)].encode(JSONValue(parsing: example.json)))
          } catch { violated("an example is refused: \(error)") }
        }
      },
      run: { bytes in
        var input = FuzzInput(bytes)
        let type = RichTypes.all[Int(input.byte()) % RichTypes.all.count]
        let message = [UInt8](input.rest())
        do throws(ReflectionError) { _ = try type.decode(message) } catch {
          demand(error.kind == .bytes && !error.message.isEmpty, "\(error.kind): \(error)")
          return false
        }
        JSONChecks.roundTrip(type, message)
        return true
      })
  }
}
