import CProtobufC

/// Zeroed memory that is handed out in order and freed all at once, never more than a limit: the bound on what a
/// message from elsewhere can make protobuf-c allocate. When the limit is reached, allocation answers nil, and
/// protobuf-c gives up cleanly.
final class Arena {
  private static let alignment = 16
  private static let firstChunk = 4 << 10
  private static let largestChunk = 1 << 20

  private let limit: Int
  private let purpose: ReflectionError.Kind
  private var reserved = 0
  private var chunks: [UnsafeMutableRawPointer] = []
  private var next: UnsafeMutableRawPointer?
  private var left = 0

  /// `purpose` is what an error about the limit says was at fault.
  init(limit: Int, for purpose: ReflectionError.Kind) {
    self.limit = limit
    self.purpose = purpose
  }

  deinit {
    for chunk in chunks { chunk.deallocate() }
  }

  func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
    // An empty allocation has an address too: protobuf-c takes nil for failure.
    let (padded, overflow) = max(size, 1).addingReportingOverflow(Self.alignment - 1)
    guard !overflow, padded <= limit else { return nil }
    let needed = padded & ~(Self.alignment - 1)
    if needed > left, !addChunk(holding: needed) { return nil }
    defer {
      next = next?.advanced(by: needed)
      left -= needed
    }
    return next
  }

  private func addChunk(holding needed: Int) -> Bool {
    let usual = min(Self.firstChunk << min(chunks.count, 8), Self.largestChunk)
    let size = max(needed, min(usual, limit - reserved))
    guard size <= limit - reserved else { return false }
    let chunk = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: Self.alignment)
    chunk.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    chunks.append(chunk)
    reserved += size
    next = chunk
    left = size
    return true
  }

  func array<Element: BitwiseCopyable>(
    of type: Element.Type, count: Int
  ) throws(ReflectionError) -> UnsafeMutablePointer<Element> {
    let (size, overflow) = MemoryLayout<Element>.stride.multipliedReportingOverflow(by: count)
    guard !overflow, let memory = allocate(size) else {
      throw ReflectionError(purpose, "the message needs more memory than the \(limit) bytes allowed for it")
    }
    return memory.bindMemory(to: Element.self, capacity: count)
  }

  /// Unpacks a message into the arena; it lives as long as the arena does. The bytes must have passed a `WireScan`.
  func unpack(
    _ bytes: UnsafeRawBufferPointer, as descriptor: UnsafePointer<ProtobufCMessageDescriptor>
  ) -> UnsafeMutableRawPointer? {
    var allocator = ProtobufCAllocator(
      alloc: { arena, size in
        guard let arena, let size = Int(exactly: size) else { return nil }
        return Unmanaged<Arena>.fromOpaque(arena).takeUnretainedValue().allocate(size)
      },
      free: { _, _ in },
      allocator_data: Unmanaged.passUnretained(self).toOpaque()
    )
    let message = protobuf_c_message_unpack(
      descriptor, &allocator, bytes.count, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
    return UnsafeMutableRawPointer(message)
  }
}
