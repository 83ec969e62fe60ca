import LockstepServices
import LockstepSimulation
import SwiftProtobuf
import Testing

@testable import bank

/// The bank of the README under simulated faults, as the article *Testing Under Faults* shows it.
@Suite("A user's machine in the simulator")
struct BankSimulationTests {
  private static let names = ["alice", "bob", "carol"]

  private static func call(_ random: inout SimulationRandom) throws -> SimulatedCall {
    let from = names[random.below(3)]
    let to = names[random.below(3)]
    let amount = Int64(random.within(-1...20))
    switch random.below(4) {
    case 0:
      let request = Bank_V1_DepositRequest.with {
        $0.account = from
        $0.amount = amount
      }
      return SimulatedCall("bank.v1.Bank/Deposit", try request.serializedBytes())
    case 1:
      return SimulatedCall("bank.v1.Bank/Total", [])
    default:
      let request = Bank_V1_TransferRequest.with {
        $0.from = from
        $0.to = to
        $0.amount = amount
      }
      return SimulatedCall("bank.v1.Bank/Transfer", try request.serializedBytes())
    }
  }

  @Test("bank: no account is overdrawn and no money is lost, whatever fails")
  func bank() throws {
    let seeds: UInt64 = extent(quick: 6, full: 25)
    let total = try ClusterSimulation(ServiceMachine(services: [Bank.self]), seeds: 1...seeds).run(Self.call) {
      machine in
      guard let bank = machine.state(of: Bank.self) else { return "there is no bank" }
      let balances = Self.names.map { bank.balance(of: $0) }
      if balances.contains(where: { $0 < 0 }) { return "an account is overdrawn: \(balances)" }
      return balances.reduce(0, +) == bank.total ? nil : "\(balances) do not add up to \(bank.total)"
    }
    #expect(total.acknowledged > 200 && total.reads > 20 && total.seeds == Int(seeds))
  }

  @Test("bank: an invariant that does not hold is found, with seed, schedule and command")
  func broken() throws {
    do {
      try ClusterSimulation(ServiceMachine(services: [Bank.self]), seeds: 3...9).run(Self.call) { machine in
        (machine.state(of: Bank.self)?.total ?? 0) < 100 ? nil : "the bank has grown too rich"
      }
      Issue.record("a bank of 100 was not noticed")
    } catch let failure as SimulationFailure {
      #expect(failure.failure.invariant == .user && (3...9).contains(failure.seed))
      #expect(failure.description.contains("too rich") && failure.description.contains("bank.v1.Bank/Deposit"))
      // Nothing has to go wrong for that.
      #expect(failure.faults.isEmpty, "\(failure.faults)")
    }
  }

  @Test("bank: what the generator throws is thrown on")
  func generator() {
    struct Tired: Error {}
    #expect(throws: Tired.self) {
      try ClusterSimulation(ServiceMachine(services: [Bank.self]), seeds: 1...1).run { _ in throw Tired() }
    }
  }
}
