import Lockstep
import LockstepConsensus
import LockstepExecution
import LockstepSQL
import LockstepWire
import SwiftProtobuf

/// Which nodes get a load.
struct BenchTarget: Sendable, Equatable {
  enum Choice: String, Sendable, CaseIterable {
    case leader
    case all
  }

  /// The clients are spread over these.
  var endpoints: [Endpoint]
  /// What the nodes say of their version.
  var versions: [String]
  /// Something that the user did not ask for.
  var remark: String?
  /// All that were named, and their numbers where they have said them: where clients go on when their node is gone.
  var known: [Known] = []
  var followsLeader = false

  struct Known: Sendable, Equatable {
    var endpoint: Endpoint
    var node: UInt64?
  }

  var targets: LoadTargets {
    let others = known.map(\.endpoint).filter { !endpoints.contains($0) }
    let all = endpoints + others
    let nodes = known.compactMap { known in
      known.node.flatMap { node in all.firstIndex(of: known.endpoint).map { (node: node, place: $0) } }
    }
    return LoadTargets(
      endpoints: all, first: Array(endpoints.indices), nodes: nodes, followsLeader: followsLeader)
  }

  /// Asks the nodes who leads.
  static func find(_ choice: Choice, among endpoints: [Endpoint]) async throws(CommandFailure) -> BenchTarget {
    let survey = StatusSurvey(endpoints: endpoints, timeout: .seconds(5))
    let answers = await survey.ask()
    await survey.close()
    return try choose(choice, answers)
  }

  static func choose(_ choice: Choice, _ answers: [StatusSurvey.Answer]) throws(CommandFailure) -> BenchTarget {
    var failures: [String] = []
    for answer in answers {
      if case .failure(let failure) = answer.result { failures.append("\(answer.endpoint): \(failure.status.message)") }
    }
    let answered = answers.compactMap { answer in answer.status.map { (endpoint: answer.endpoint, status: $0) } }
    guard let first = answered.first, choice == .leader || failures.isEmpty else {
      throw .failed("a node that is to get the load does not answer: \(failures.joined(separator: "; "))")
    }
    let versions = Array(Set(answered.map(\.status.version))).sorted()
    let known = answers.map { answer in
      Known(endpoint: answer.endpoint, node: answer.status.flatMap { $0.node == 0 ? nil : $0.node })
    }
    guard choice == .leader else {
      return BenchTarget(endpoints: answered.map(\.endpoint), versions: versions, known: known)
    }
    // An older leader may not know yet that it leads no more.
    let leader = answered.filter { $0.status.groups.first?.role == .leader }
      .max { ($0.status.groups.first?.term ?? 0) < ($1.status.groups.first?.term ?? 0) }
    let remark =
      leader == nil
      ? "the leader is none of the endpoints: the load goes to \(first.endpoint), which passes commands on" : nil
    return BenchTarget(
      endpoints: [(leader ?? first).endpoint], versions: versions, remark: remark, known: known, followsLeader: true)
  }

  func openSessions(_ count: Int) async throws(CommandFailure) -> [UInt64] {
    let client = LockstepClient(endpoints: endpoints)
    let outcome: Result<[UInt64], CommandFailure>
    do throws(CallFailure) {
      var sessions: [UInt64] = []
      for _ in 0..<count { sessions.append(try await client.openSession().id) }
      outcome = .success(sessions)
    } catch { outcome = .failure(.failed("no session can be opened: \(CallResult.text(error))")) }
    await client.close()
    return try outcome.get()
  }

  /// Makes the table of an insert if there is none, and finds the first key behind those that are there.
  func prepare(_ load: Load) async throws(CommandFailure) -> Load {
    guard load.operation == .insert, let endpoint = endpoints.first else { return load }
    let client = LockstepClient(endpoints: [endpoint])
    let outcome: Result<UInt64, CommandFailure>
    do {
      let table = Lockstep_Sql_V1_ExecuteRequest.with { $0.statements = [.with { $0.sql = Load.table }] }
      _ = try await client.call(Load.Operation.insert.method, try table.serializedBytes(), options: load.options)
      let highest = Lockstep_Sql_V1_QueryRequest.with { $0.sql = Load.highestKey }
      let reply = try await client.call(
        "lockstep.sql.v1.Sql/Query", try highest.serializedBytes(), options: load.options)
      let key = try Lockstep_Sql_V1_QueryReply(serializedBytes: reply.payload).rows.first?.values.first?.integer
      outcome = .success(UInt64(max(0, key ?? 0) + 1))
    } catch let failure as CallFailure {
      outcome = .failure(.failed("\(endpoint): \(CallResult.text(failure))"))
    } catch { outcome = .failure(.failed("\(endpoint): \(error)")) }
    await client.close()
    var load = load
    load.firstKey = try outcome.get()
    return load
  }

  /// Makes one call of the load at every node that is to get it. What is refused for good, a level that there is not or
  /// a value that is too long, is then an error and no figure.
  func tryOut(_ load: Load) async throws(CommandFailure) {
    for endpoint in endpoints {
      let client = LockstepClient(endpoints: [endpoint])
      let failure: CallFailure?
      do throws(CallFailure) {
        // Of an insert the one key is new.
        if load.batch > 1, load.operation != .insert {
          let requests = Array(repeating: load.request, count: load.batch)
          let results = try await client.batch(load.operation.method, requests, options: load.options)
          for result in results { _ = try result.get() }
        } else {
          _ = try await client.call(load.operation.method, load.request, options: load.options)
        }
        failure = nil
      } catch {
        failure = error
      }
      await client.close()
      if let failure { throw .failed("\(endpoint): \(CallResult.text(failure))") }
    }
  }
}
