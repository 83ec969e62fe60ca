import Glibc

/// What `--config FILE` names: a node's flags, one a line as `NAME = VALUE` without the dashes. An empty line and one
/// that begins with `#` say nothing. A flag on the command line wins over the file.
enum NodeConfigurationFile {
  static let names =
    [
      "id", "dir", "listen", "peer-listen", "members", "leader", "cluster", "maximum-request-bytes", "segment-bytes",
      "snapshot-log-bytes", "snapshot-age", "retain", "snapshot-rate", "change-window", "disk-budget",
      "minimum-ack", "lease-drift", "log-level",
    ] + switches
  /// Their value is true or false.
  private static let switches = ["no-forward"]
  private static let maximumBytes = 64 << 10

  /// These arguments with the file's before them, and without `--config`.
  static func expand(_ arguments: [String]) throws(NodeOptions.ValidationFailure) -> [String] {
    var (path, rest): (String?, [String]) = (nil, [])
    var position = 0
    while position < arguments.count {
      let argument = arguments[position]
      position += 1
      let named: String
      if argument.hasPrefix("--config=") {
        named = String(argument.dropFirst("--config=".count))
      } else if argument == "--config", position < arguments.count {
        named = arguments[position]
        position += 1
      } else {
        rest.append(argument)
        continue
      }
      guard path == nil else { throw NodeOptions.ValidationFailure("--config is given twice") }
      path = named
    }
    guard let path else { return rest }
    return try flags(in: try text(of: path), path) + rest
  }

  static func flags(in text: String, _ path: String) throws(NodeOptions.ValidationFailure) -> [String] {
    var flags: [String] = []
    var seen: [String: Int] = [:]
    for (place, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let line = trimmed(line)
      guard !line.isEmpty, !line.hasPrefix("#") else { continue }
      func refuse(_ reason: String) -> NodeOptions.ValidationFailure {
        NodeOptions.ValidationFailure("\(path), line \(place + 1): \(reason)")
      }
      guard let equals = line.firstIndex(of: "=") else { throw refuse("'\(line)' is not NAME = VALUE") }
      let (name, value) = (String(trimmed(line[..<equals])), trimmed(line[line.index(after: equals)...]))
      guard names.contains(name) else {
        throw refuse("'\(name)' is none of \(names.joined(separator: ", "))")
      }
      guard !value.isEmpty else { throw refuse("'\(name)' has no value") }
      if let earlier = seen.updateValue(place + 1, forKey: name) {
        throw refuse("'\(name)' is in line \(earlier) already")
      }
      guard switches.contains(name) else {
        flags.append("--\(name)=\(value)")
        continue
      }
      guard value == "true" || value == "false" else { throw refuse("'\(name)' is true or false, and not '\(value)'") }
      if value == "true" { flags.append("--\(name)") }
    }
    return flags
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return text
  }

  private static func text(of path: String) throws(NodeOptions.ValidationFailure) -> String {
    func refuse(_ reason: String) -> NodeOptions.ValidationFailure {
      NodeOptions.ValidationFailure("the configuration \(path) \(reason)")
    }
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw refuse("cannot be opened: \(String(cString: strerror(errno)))") }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: maximumBytes + 1)
    var filled = 0
    while filled < bytes.count {
      let count = bytes.withUnsafeMutableBytes { bytes in
        let free = UnsafeMutableRawBufferPointer(rebasing: bytes[filled...])
        return read(file, free.baseAddress, free.count)
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw refuse("cannot be read: \(String(cString: strerror(errno)))") }
      if count == 0 { break }
      filled += count
    }
    guard filled <= maximumBytes else { throw refuse("has more than \(maximumBytes) bytes") }
    guard let text = String(validating: bytes[..<filled], as: UTF8.self), !text.contains("\0") else {
      throw refuse("is not text in UTF-8")
    }
    return text
  }
}
