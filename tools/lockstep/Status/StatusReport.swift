import Lockstep
import LockstepConsensus
import LockstepReflection
import LockstepRequests
import LockstepWire

/// What the nodes said, set in relation. A number that is not known is nil, and never 0.
struct StatusReport: Sendable {
  struct Lag: Equatable, Sendable {
    var entries: UInt64?
    var milliseconds: UInt64?
  }

  struct Lags: Equatable, Sendable {
    /// In the node's log, synced or not.
    var received: Lag
    var durable: Lag
    var applied: Lag
  }

  struct Row: Sendable {
    let endpoint: Endpoint
    let status: NodeReport?
    let error: String?
    let lags: Lags

    var group: GroupReport? { status?.groups.first }
  }

  let rows: [Row]
  /// The node that says that it leads, in the newest term in which one does.
  let leader: UInt64?
  /// What the nodes say that cannot all be true.
  let problems: [String]

  init(_ answers: [StatusSurvey.Answer]) {
    let groups = answers.compactMap(\.status).compactMap { node in node.groups.first.map { (node: node, group: $0) } }
    let leading = groups.filter { $0.group.role == .leader }.max { $0.group.term < $1.group.term }
    leader = leading?.node.node
    let problems = StatusProblems(answers)
    self.problems = problems.list
    rows = answers.map { answer in
      var error: String?
      if case .failure(let failure) = answer.result { error = failure.status.message }
      return Row(
        endpoint: answer.endpoint, status: answer.status, error: error,
        // Indexes of two clusters, or of two histories, have nothing to do with each other.
        lags: Self.lags(
          of: answer.status?.groups.first,
          behind: answer.status?.cluster == leading?.node.cluster && !problems.isContradiction
            ? leading?.group : nil))
    }
  }

  var isAnyReachable: Bool { rows.contains { $0.status != nil } }

  // MARK: Lags

  static func lags(of group: GroupReport?, behind leader: GroupReport?) -> Lags {
    guard let group, let leader else { return Lags(received: Lag(), durable: Lag(), applied: Lag()) }
    return Lags(
      received: lag(group.lastIndex, group.lastTimestamp, behind: leader),
      durable: lag(group.durableIndex, group.durableTimestamp, behind: leader),
      applied: lag(group.appliedIndex, group.appliedTimestamp, behind: leader))
  }

  /// How far a place in a node's log is behind the end of the leader's. The two were asked one after the other, so a
  /// follower may seem to be ahead: then it is level.
  private static func lag(_ index: UInt64, _ timestamp: UInt64, behind leader: GroupReport) -> Lag {
    // The leader's log is never empty: it begins its term with an entry.
    guard leader.lastIndex > 0 else { return Lag() }
    guard index < leader.lastIndex else { return Lag(entries: 0, milliseconds: 0) }
    let entries = leader.lastIndex - index
    guard timestamp > 0, leader.lastTimestamp > 0 else { return Lag(entries: entries) }
    let nanoseconds = leader.lastTimestamp > timestamp ? leader.lastTimestamp - timestamp : 0
    return Lag(entries: entries, milliseconds: nanoseconds / 1_000_000)
  }
}

// MARK: JSON

extension StatusReport {
  var json: JSONValue {
    .object([
      "nodes": .array(rows.map(\.json)), "leader": leader.map { JSONValue($0) } ?? .null,
      "problems": .array(problems.map { JSONValue($0) }),
    ])
  }
}

extension StatusReport.Row {
  var json: JSONValue {
    guard let status else {
      return .object([
        "id": .null, "endpoint": .init(endpoint.description), "error": .init(error ?? "no answer"),
      ])
    }
    var members: [JSONValue.Member] = [
      .init(key: "id", value: known(status.node)), .init(key: "endpoint", value: .init(endpoint.description)),
    ]
    members += group.map(json) ?? []
    members += [
      .init(key: "incarnation", value: known(status.incarnation)),
      .init(key: "cluster", value: status.cluster.isEmpty ? .null : .init(hexadecimal(status.cluster))),
      .init(key: "version", value: status.version.isEmpty ? .null : .init(status.version)),
      .init(key: "uptimeMilliseconds", value: .init(status.uptimeMilliseconds)),
      .init(key: "connections", value: .init(status.connections)),
      .init(key: "residentBytes", value: known(status.residentBytes)),
      .init(key: "disk", value: status.disk.map(json) ?? .null),
      .init(key: "stages", value: status.stages.isEmpty ? .null : .array(status.stages.map(json))),
      .init(
        key: "counters",
        value: status.counters.isEmpty
          ? .null : .object(status.counters.map { .init(key: $0.name, value: .init($0.value)) })),
    ]
    return .object(members)
  }

  private func json(_ group: GroupReport) -> [JSONValue.Member] {
    [
      .init(key: "role", value: group.role.map { .init($0.rawValue) } ?? .null),
      .init(key: "term", value: .init(group.term)),
      .init(key: "leader", value: known(group.leader)),
      .init(key: "firstIndex", value: known(group.firstIndex)),
      .init(key: "lastIndex", value: .init(group.lastIndex)),
      .init(key: "durableIndex", value: .init(group.durableIndex)),
      .init(key: "commitIndex", value: .init(group.commitIndex)),
      .init(key: "appliedIndex", value: .init(group.appliedIndex)),
      .init(
        key: "lag",
        value: .object([
          "received": lags.received.json, "durable": lags.durable.json, "applied": lags.applied.json,
        ])),
      .init(
        key: "snapshot",
        value: group.snapshot.map {
          .object(["index": .init($0.index), "term": .init($0.term), "bytes": .init($0.bytes)])
        } ?? .null),
      .init(key: "snapshotUnderWay", value: known(group.snapshotUnderWay)),
      .init(key: "install", value: group.install.map(json) ?? .null),
      .init(key: "digest", value: .init(hexadecimal(group.digest))),
      .init(key: "voters", value: .array(group.voters.map { JSONValue($0) })),
      .init(key: "learners", value: .array(group.learners.map { JSONValue($0) })),
      .init(key: "kind", value: group.kind(of: status?.node ?? 0).map { .init($0) } ?? .null),
      .init(key: "peers", value: .array(group.peers.map(json))),
    ]
  }

  private func json(_ disk: DiskSpaceReport) -> JSONValue {
    .object([
      "usedBytes": .init(disk.used), "limitBytes": .init(disk.limit), "availableBytes": .init(disk.available),
      "missingBytes": .init(disk.missing),
    ])
  }

  private func json(_ install: InstallReport) -> JSONValue {
    .object([
      "source": .init(install.source), "index": known(install.index), "bytes": .init(install.bytes),
      "totalBytes": known(install.totalBytes), "bytesPerSecond": .init(install.bytesPerSecond),
      "percent": install.percent.map { .init($0) } ?? .null,
      "secondsLeft": install.secondsLeft.map { .init($0) } ?? .null,
      "waitsFor": install.waitsFor.map { .init($0) } ?? .null,
    ])
  }

  /// Since the node started; `lockstep bench --explain` sets two of these in relation.
  private func json(_ stage: StageFigures) -> JSONValue {
    .object([
      "stage": .init(stage.name), "peer": known(stage.peer), "count": .init(stage.count),
      "totalNanoseconds": .init(stage.totalNanoseconds), "maximumNanoseconds": .init(stage.maximumNanoseconds),
    ])
  }

  private func json(_ peer: PeerReport) -> JSONValue {
    .object([
      "id": .init(peer.node), "matchIndex": .init(peer.matchIndex),
      "state": peer.state.map { .init($0.rawValue) } ?? .null,
      "connected": .init(peer.isConnected),
    ])
  }
}

extension StatusReport.Lag {
  fileprivate var json: JSONValue {
    .object([
      "entries": entries.map { JSONValue($0) } ?? .null, "milliseconds": milliseconds.map { JSONValue($0) } ?? .null,
    ])
  }
}

/// On the wire, 0 stands for a number that the node does not know.
private func known(_ value: UInt64) -> JSONValue { value == 0 ? .null : .init(value) }

func hexadecimal(_ value: UInt64) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}

func hexadecimal(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

extension GroupReport {
  /// What this node, who says so itself, is to the group; nil: not said.
  func kind(of node: UInt64) -> String? {
    if learners.contains(node) { return "learner" }
    if isAwaitingAdmission { return "waiting" }
    return voters.contains(node) ? "voter" : nil
  }
}
