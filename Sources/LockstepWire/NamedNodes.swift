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
  @inline(__always)
  func write(_ term: UInt64, _ index: UInt64, as field: UInt64, to writer: inout WireWriter) {
    writer.delimited(field) {
      $0.number(1, term)
      $0.number(2, index)
      Self.write(holders, as: 3, to: &$0)
      Self.write(appliedBy, as: 4, to: &$0)
      Self.write(missing, as: 5, to: &$0)
    }
  }

  @inline(__always)
  private static func write(_ nodes: [NodeID], as field: UInt64, to writer: inout WireWriter) {
    guard !nodes.isEmpty else { return }
    writer.delimited(field) { for node in nodes { $0.varint(node.rawValue) } }
  }
}
