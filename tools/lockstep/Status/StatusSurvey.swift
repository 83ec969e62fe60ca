import Lockstep
import LockstepRequests
import LockstepWire

/// Asks every node of itself, all at the same time: a connection to each, which is kept from one question to the next.
struct StatusSurvey: Sendable {
  struct Answer: Sendable {
    let endpoint: Endpoint
    let result: Result<NodeReport, CallFailure>

    var status: NodeReport? { try? result.get() }
  }

  private let clients: [(endpoint: Endpoint, client: LockstepClient)]
  private let timeout: Duration

  init(endpoints: [Endpoint], timeout: Duration) {
    clients = endpoints.map { ($0, LockstepClient(endpoints: [$0])) }
    self.timeout = timeout
  }

  /// In the order of the endpoints.
  func ask() async -> [Answer] {
    await withTaskGroup(of: (Int, Answer).self) { group in
      for position in clients.indices { group.addTask { (position, await answer(of: position)) } }
      var answers: [(Int, Answer)] = []
      for await answer in group { answers.append(answer) }
      return answers.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }

  // Not written inside the group's task: there, Swift 6.3.1 with -O returns 0 in place of the captured position.
  private func answer(of position: Int) async -> Answer {
    let (endpoint, client) = clients[position]
    do throws(CallFailure) {
      return Answer(endpoint: endpoint, result: .success(try await client.status(timeout: timeout)))
    } catch {
      return Answer(endpoint: endpoint, result: .failure(error))
    }
  }

  func close() async {
    for (_, client) in clients { await client.close() }
  }
}
