extension JSONValue {
  package enum Style: Sendable {
    /// On one line, without spaces.
    case compact
    /// A member or element a line, indented by two spaces.
    case pretty
  }

  /// The text of the value, without a newline at its end.
  package func text(_ style: Style = .compact) -> String {
    var writer = JSONWriter(style: style)
    writer.write(self)
    return writer.output
  }
}

private struct JSONWriter {
  let style: JSONValue.Style
  var output = ""
  var depth = 0

  init(style: JSONValue.Style) { self.style = style }

  mutating func write(_ value: JSONValue) {
    switch value {
    case .null: output += "null"
    case .bool(let value): output += value ? "true" : "false"
    case .number(let literal): output += literal
    case .string(let text): write(text)
    case .array(let elements):
      writeList(elements, open: "[", close: "]") { writer, element in writer.write(element) }
    case .object(let members):
      writeList(members, open: "{", close: "}") { writer, member in
        writer.write(member.key)
        writer.output += writer.style == .pretty ? ": " : ":"
        writer.write(member.value)
      }
    }
  }

  private mutating func writeList<Item>(
    _ items: [Item], open: String, close: String, item: (inout JSONWriter, Item) -> Void
  ) {
    output += open
    depth += 1
    for (position, element) in items.enumerated() {
      if position > 0 { output += "," }
      startLine()
      item(&self, element)
    }
    depth -= 1
    if !items.isEmpty { startLine() }
    output += close
  }

  private mutating func startLine() {
    guard style == .pretty else { return }
    output += "\n" + String(repeating: "  ", count: depth)
  }

  private mutating func write(_ text: String) {
    output += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": output += "\\\""
      case "\\": output += "\\\\"
      case "\n": output += "\\n"
      case "\r": output += "\\r"
      case "\t": output += "\\t"
      // DEL and the C1 controls need no escape in JSON, but would drive a terminal that the text is printed on.
      case "\0"..<" ", "\u{7F}"..."\u{9F}":
        let digits = String(scalar.value, radix: 16)
        output += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: output.unicodeScalars.append(scalar)
      }
    }
    output += "\""
  }
}
