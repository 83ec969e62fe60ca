/// Why bytes from a socket or a disk were not believed.
package struct WireError: Error, Equatable, CustomStringConvertible {
  package let message: String
  /// Where in the bytes, counted from the start of the message; nil when the place says nothing.
  package let offset: Int?

  package init(_ message: String, at offset: Int? = nil) {
    self.message = message
    self.offset = offset
  }

  package var description: String { offset.map { "\(message) (byte \($0))" } ?? message }
}
