import Glibc

/// What a node's log says that somebody must do something about: its lines of level error and above. Looked at now and
/// then, each line once.
struct NodeErrors {
  private static let maximumBytes = 64 << 10
  private let path: String
  /// Up to here all was looked at; the beginning of a line.
  private var offset: Int

  init(path: String, from offset: Int) {
    self.path = path
    self.offset = offset
  }

  /// The texts of new lines. Of a log that has grown by more than 64 KiB since the last look, those at its end.
  mutating func next() -> [String] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    // The log is there for as long as its directory is; without it there is nothing to say, and the node says why.
    guard file >= 0 else { return [] }
    defer { close(file) }
    offset = max(offset, lseek(file, 0, SEEK_END) - Self.maximumBytes)
    var bytes = [UInt8](repeating: 0, count: Self.maximumBytes)
    let count = pread(file, &bytes, bytes.count, offset)
    guard count > 0 else { return [] }
    // A line that is not whole yet is looked at when it is, unless it never will be.
    let newline = UInt8(ascii: "\n")
    let end = bytes[..<count].lastIndex(of: newline).map { $0 + 1 } ?? (count == bytes.count ? count : 0)
    offset += end
    return bytes[..<end].split(separator: newline).compactMap { Self.text(of: String(decoding: $0, as: UTF8.self)) }
  }

  /// Of a line such as `2026-11-28T11:44:25+0000 error lockstep: node=3 [Lockstep] node 1 refuses this node`; nil for
  /// any other.
  static func text(of line: String) -> String? {
    let words = line.split(separator: " ", maxSplits: 2)
    guard words.count == 3, words[1] == "error" || words[1] == "critical" else { return nil }
    guard let bracket = words[2].range(of: "] ") else { return String(words[2]) }
    return String(words[2][bracket.upperBound...])
  }
}

extension Substring {
  fileprivate func range(of text: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
      start = index(after: start)
    }
    return nil
  }
}
