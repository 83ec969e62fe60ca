/// Why a schema, a name, a JSON value or message bytes were refused: one line, ready to be shown to a person.
package struct ReflectionError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What was at fault, so that a caller can choose an exit code or a status without reading the text.
  package enum Kind: Sendable {
    /// The descriptor set cannot be used.
    case schema
    /// A service, method or type of that name is not there.
    case symbol
    /// The JSON value does not fit the message type.
    case json
    /// The bytes are not such a message, or cost more than the limits allow.
    case bytes
  }

  package let kind: Kind
  package let message: String

  package init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = printable(message, limit: 2000)
  }

  package var description: String { message }
}

/// Names and values in an error come from a peer or from a terminal. Control characters are spelled out, so that the
/// text stays on one line and cannot drive the reader's terminal.
func printable(_ text: String, limit: Int) -> String {
  var result = ""
  for (position, scalar) in text.unicodeScalars.enumerated() {
    if position == limit { return result + "…" }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator:
      result += "\\u{" + String(scalar.value, radix: 16) + "}"
    default:
      result.unicodeScalars.append(scalar)
    }
  }
  return result
}
