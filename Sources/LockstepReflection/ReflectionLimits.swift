/// Every bound on what a schema or a message from elsewhere may cost.
enum ReflectionLimits {
  /// Messages inside messages, in both directions. What can be encoded can be decoded again.
  static let depth = 64

  /// Arrays and objects inside each other in JSON that is read. A message takes two at most, its own and a list's, and a
  /// few are around it on a command line: what was shown can be read.
  static let jsonDepth = 2 * depth + 4

  /// The largest FileDescriptorSet that is read.
  static let descriptorSetBytes = 4 << 20

  /// Files, messages, fields, enum values, services and methods of one pool, taken together.
  static let declarations = 200_000

  /// The length of a full name. Names are repeated by everything inside of what they name.
  static let fullNameBytes = 512

  /// The largest message that is decoded or encoded.
  static let messageBytes = 16 << 20

  /// Memory for unpacking a message: a floor, for a short message may hold many empty ones, and a share of its length.
  /// Unknown fields of two bytes cost 56 times their length, so a message made of them is refused; messages that were
  /// meant to be read stay below a third of this.
  static func arenaBytes(forMessageOf length: Int) -> Int { (4 << 20) + 32 * length }

  /// JSON values that one message may become. Fields without presence are shown at their defaults, so a message of two
  /// bytes may become dozens of values.
  static func jsonValues(forMessageOf length: Int) -> Int { 262_144 + length }

  /// Memory for building a message from JSON before it is packed.
  static let encodingArenaBytes = 1 << 30
}
