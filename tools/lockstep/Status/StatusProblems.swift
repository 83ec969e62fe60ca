import Lockstep
import LockstepConsensus
import LockstepRequests
import LockstepWire

/// What nodes say that cannot all be true, or must not be: then lags would be numbers without a meaning.
struct StatusProblems: Sendable {
  private(set) var list: [String] = []
  /// The nodes do not share one history, or it is not known whose is the right one.
  private(set) var isContradiction = false

  private struct Known {
    let endpoint: Endpoint
    let node: NodeReport
    let group: GroupReport

    var name: String { "node \(node.node) at \(endpoint)" }
  }

  init(_ answers: [StatusSurvey.Answer]) {
    let known = answers.compactMap { answer in
      answer.status.flatMap { node in
        node.groups.first.map { Known(endpoint: answer.endpoint, node: node, group: $0) }
      }
    }
    clusters(known)
    for cluster in Self.grouped(known, by: \.node.cluster) {
      identities(cluster)
      leaders(cluster)
      terms(cluster)
      voters(cluster)
      digests(cluster)
      disks(cluster)
    }
  }

  /// Nodes that come with a directory that was not theirs, and nodes whose new one does not vote yet.
  private mutating func disks(_ nodes: [Known]) {
    var told: [UInt64] = []
    for known in nodes {
      for refusal in known.node.refused where !told.contains(refusal.node) {
        told.append(refusal.node)
        let by = nodes.filter { $0.node.refused.contains { $0.node == refusal.node } }.map { "node \($0.node.node)" }
        list.append("node \(refusal.node) is refused for its disk by \(Self.list(by)): \(refusal.reason)")
      }
    }
    for known in nodes where known.group.isAwaitingAdmission {
      let number = known.node.node
      guard !nodes.contains(where: { $0.group.role == .leader && $0.group.learners.contains(number) }) else { continue }
      list.append(
        "\(known.name) waits with a replaced disk: it becomes a learner when a leader is there that a majority of the "
          + "other voters follows")
    }
    let waiting = nodes.filter(\.group.isAwaitingAdmission)
    let voters = nodes.map(\.group.voters.count).max() ?? 0
    guard !waiting.isEmpty, voters - waiting.count < voters / 2 + 1 else { return }
    list.append(
      "\(waiting.count) of \(voters) voters have lost their disks, and no leader can be elected without a majority of them: "
        + "stop one of \(Self.list(waiting.map { "node \($0.node.node)" })) and put back the directory that it had before"
    )
  }

  private mutating func contradiction(_ text: String) {
    list.append(text)
    isContradiction = true
  }

  private mutating func clusters(_ known: [Known]) {
    let clusters = Self.grouped(known, by: \.node.cluster)
    guard clusters.count > 1 else { return }
    let parts = clusters.map { nodes in
      "\(Self.list(nodes.map(\.name))) of \(nodes[0].node.cluster.isEmpty ? "none" : hexadecimal(nodes[0].node.cluster))"
    }
    list.append(
      "these are nodes of \(clusters.count) different clusters: \(parts.joined(separator: "; ")); name the endpoints of one"
    )
  }

  private mutating func identities(_ nodes: [Known]) {
    for same in Self.grouped(nodes, by: \.node.node) where Set(same.map(\.node.incarnation)).count > 1 {
      contradiction(
        "\(Self.list(same.map { "\($0.endpoint)" })) are two processes that both say they are node \(same[0].node.node): "
          + "stop the one that runs on a copy of the other's directory")
    }
  }

  private mutating func leaders(_ nodes: [Known]) {
    let leading = nodes.filter { $0.group.role == .leader }
    for same in Self.grouped(leading, by: \.group.term) where Set(same.map(\.node.node)).count > 1 {
      contradiction(
        "\(Self.list(same.map(\.name))) both lead in term \(same[0].group.term), which one majority cannot have chosen: "
          + "stop them, and compare their --members and directories")
    }
    let terms = Set(leading.map(\.group.term))
    guard terms.count > 1 else { return }
    let parts = leading.sorted { $0.group.term < $1.group.term }.map { "\($0.name) in term \($0.group.term)" }
    list.append(
      "two nodes say that they lead: \(Self.list(parts)); the older one has not heard of the newer yet, "
        + "or they do not reach each other")
  }

  /// In one term there is one leader, and all who know of it know the same one.
  private mutating func terms(_ nodes: [Known]) {
    for same in Self.grouped(nodes, by: \.group.term) {
      let following = same.filter { $0.group.leader != 0 }
      guard Set(following.map(\.group.leader)).count > 1 else { continue }
      let parts = following.map { "\($0.name) says node \($0.group.leader)" }
      contradiction("who leads in term \(same[0].group.term) is said differently: \(Self.list(parts))")
    }
  }

  private mutating func voters(_ nodes: [Known]) {
    // Who of them votes may change, and not all nodes hear of it at once.
    let voters = Self.grouped(
      nodes.filter { !$0.group.voters.isEmpty }, by: { ($0.group.voters + $0.group.learners).sorted() })
    guard voters.count > 1 else { return }
    let parts = voters.map { same in
      "\(Self.list(same.map(\.name))) say \(same[0].group.voters.sorted().map(String.init).joined(separator: ", "))"
    }
    contradiction(
      "who votes is said differently: \(parts.joined(separator: "; ")); all nodes of a cluster need the same --members")
  }

  /// The same commands in the same order make the same state.
  private mutating func digests(_ nodes: [Known]) {
    for same in Self.grouped(nodes, by: \.group.appliedIndex)
    where same[0].group.appliedIndex > 0 && Set(same.map(\.group.digest)).count > 1 {
      let parts = same.map { "\($0.name) has \(hexadecimal($0.group.digest))" }
      contradiction(
        "the states at index \(same[0].group.appliedIndex) differ: \(Self.list(parts)); the nodes have applied different "
          + "commands, or computed differently")
    }
  }

  /// In the order in which each key is first met.
  private static func grouped<Key: Equatable>(_ nodes: [Known], by key: (Known) -> Key) -> [[Known]] {
    var groups: [(key: Key, nodes: [Known])] = []
    for node in nodes {
      let value = key(node)
      if let place = groups.firstIndex(where: { $0.key == value }) {
        groups[place].nodes.append(node)
      } else {
        groups.append((value, [node]))
      }
    }
    return groups.map(\.nodes)
  }

  private static func list(_ parts: [String]) -> String {
    guard parts.count > 1, let last = parts.last else { return parts.first ?? "" }
    return parts.dropLast().joined(separator: ", ") + " and " + last
  }
}
