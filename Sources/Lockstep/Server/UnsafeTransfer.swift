/// Hands a value that nobody else holds to another thread.
struct UnsafeTransfer<Value>: @unchecked Sendable {
  // Unchecked: made in one place, used once in another, and never touched by the maker again.
  let value: Value
  init(_ value: Value) { self.value = value }
}
