import LockstepConsensus

/// Those whom an Evidence message names, in its fields 3, 4 and 5; mostly there are holders and nobody else.
struct NamedNodes {
  let holders: [NodeID]
  let appliedBy: [NodeID]
  let missing: [NodeID]

  var count: Int { holders.count + appliedBy.count + missing.count }

  init(holders: [NodeID], appliedBy: [NodeID], missing: [NodeID]) {
    self.holders = holders
    self.appliedBy = appliedBy
    self.missing = missing
  }

  init(_ evidence: CallReply.Evidence) {
    self.init(
      holders: evidence.holders.map { NodeID($0) }, appliedBy: evidence.appliedBy.map { NodeID($0) },
      missing: evidence.missing.map { NodeID($0) })
  }

  /// The whole message.
  func write(_ term: UInt64, _ index: UInt64, as field: UInt64, to writer: inout WireWriter) {
    let (first, second, third) = (Self.bytes(holders), Self.bytes(appliedBy), Self.bytes(missing))
    writer.varint(field << 3 | 2)
    writer.varint(
      UInt64(
        WireWriter.size(1, term) + WireWriter.size(2, index) + Self.size(first) + Self.size(second) + Self.size(third)))
    writer.number(1, term)
    writer.number(2, index)
    Self.write(holders, first, as: 3, to: &writer)
    Self.write(appliedBy, second, as: 4, to: &writer)
    Self.write(missing, third, as: 5, to: &writer)
  }

  private static func bytes(_ nodes: [NodeID]) -> Int {
    var bytes = 0
    for node in nodes { bytes += Varint.size(node.rawValue) }
    return bytes
  }

  private static func size(_ bytes: Int) -> Int { bytes == 0 ? 0 : 1 + Varint.size(UInt64(bytes)) + bytes }

  private static func write(_ nodes: [NodeID], _ bytes: Int, as field: UInt64, to writer: inout WireWriter) {
    guard bytes > 0 else { return }
    writer.varint(field << 3 | 2)
    writer.varint(UInt64(bytes))
    for node in nodes { writer.varint(node.rawValue) }
  }
}
