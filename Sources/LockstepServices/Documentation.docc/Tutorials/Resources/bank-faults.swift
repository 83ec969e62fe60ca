import LockstepServices
import LockstepSimulation
import SwiftProtobuf
import Testing

@testable import bank

@Suite("Bank under faults")
struct BankFaultTests {
  @Test("nobody is overdrawn, and all replicas agree")
  func faults() throws {
    try ClusterSimulation(ServiceMachine(services: [Bank.self]), seeds: 1...8).run { random in
      let (from, to) = (["ann", "ben"][random.below(2)], ["ben", "cat"][random.below(2)])
      if random.below(3) == 0 {
        let deposit = Bank_V1_DepositRequest.with { ($0.account, $0.amount) = (to, Int64(random.within(-1...20))) }
        return SimulatedCall(Bank.deposit.fullName, try deposit.serializedBytes())
      }
      let transfer = Bank_V1_TransferRequest.with {
        ($0.from, $0.to, $0.amount) = (from, to, Int64(random.within(0...20)))
      }
      return SimulatedCall(Bank.transfer.fullName, try transfer.serializedBytes())
    } invariant: { machine in
      guard let bank = machine.state(of: Bank.self) else { return "there is no bank" }
      let balances = ["ann", "ben", "cat"].map(bank.balance(of:))
      return balances.allSatisfy { $0 >= 0 } ? nil : "somebody is overdrawn: \(balances)"
    }
  }
}
