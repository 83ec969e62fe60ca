internal import CSanitizer

// Written by the hooks, which must not allocate. The targets run on one thread, and the one that watches libFuzzer's
// limits allocates next to nothing.
nonisolated(unsafe) private var live = 0
nonisolated(unsafe) private var peak = 0

/// How much memory is allocated at a time while an input is tried.
enum Allocations {
  static func watch() {
    _ = __sanitizer_install_malloc_and_free_hooks(
      { _, size in
        live += size
        if live > peak { peak = live }
      },
      { pointer in live -= __sanitizer_get_allocated_size(pointer) })
  }

  static func begin() {
    live = 0
    peak = 0
  }

  /// In bytes, since `begin`.
  static var highest: Int { peak }
}
