internal import CProtobufC
internal import Glibc

/// Memory for one unpack: protobuf-c takes from a bounded block and everything is given back at once. When the block
/// is used up, protobuf-c gets nothing and gives the message up: that is the bound on what hostile bytes can cost.
final class Arena {
  private var base: UnsafeMutableRawPointer
  private let capacity: Int
  private var used = 0

  /// Honest messages of ours need about 16 times their own size, and some 64 KiB for the fixed part.
  static func capacity(forMessageOf count: Int) -> Int { 16 * count + 64 * 1024 }

  init(capacity: Int) {
    self.capacity = capacity
    // malloc'ed memory is not touched before it is used: a large arena for a small message costs nothing.
    base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
  }

  deinit { base.deallocate() }

  func reset() { used = 0 }

  private func take(_ count: Int) -> UnsafeMutableRawPointer? {
    guard count >= 0, count <= capacity - used else { return nil }
    let place = base + used
    used = min(capacity, used + (count + 15) & ~15)
    return place
  }

  /// Calls `body` with an allocator that draws on this arena; valid only inside.
  func withAllocator<Result>(_ body: (UnsafeMutablePointer<ProtobufCAllocator>) -> Result) -> Result {
    var allocator = ProtobufCAllocator(
      alloc: { context, size in
        context.flatMap { Unmanaged<Arena>.fromOpaque($0).takeUnretainedValue().take(size) }
      },
      free: { _, _ in },
      allocator_data: Unmanaged.passUnretained(self).toOpaque())
    return withUnsafeMutablePointer(to: &allocator, body)
  }
}
