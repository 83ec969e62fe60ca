/// Where a node listens: a host, by name or address, and a port.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
  /// A name, or an IPv4 or IPv6 address; without brackets.
  public let host: String
  /// The TCP port; from 0 to 65535 when the endpoint was made from a text.
  public let port: Int

  /// Takes both as they are: nothing is checked or looked up.
  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// From `HOST:PORT`, or `[HOST]:PORT` for an IPv6 address; nil when it is neither.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
      (0...65_535).contains(port)
    else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    guard !host.isEmpty else { return nil }
    self.init(host: String(host), port: port)
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// As its text, `HOST:PORT`.
extension Endpoint: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let endpoint = Endpoint(text) else {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "'\(text)' is not HOST:PORT"))
    }
    self = endpoint
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
