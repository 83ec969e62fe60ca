import LockstepServices
import SwiftProtobuf
import Testing

@testable import bank

@Suite("Bank")
struct BankTests {
  @Test("money moves, and what is refused changes nothing")
  func transfers() throws {
    var bank = try TestMachine(Bank.self)
    #expect(try bank.call(Bank.deposit, .with { ($0.account, $0.amount) = ("ann", 100) }).balance == 100)
    let moved = try bank.call(Bank.transfer, .with { ($0.from, $0.to, $0.amount) = ("ann", "ben", 30) })
    #expect(moved.fromBalance == 70 && moved.toBalance == 30)
    let refusal = #expect(throws: CallStatus.self) {
      try bank.call(Bank.transfer, .with { ($0.from, $0.to, $0.amount) = ("ben", "ann", 31) })
    }
    #expect(refusal?.code == .failedPrecondition)
    // Written down as a snapshot and read again, it is the same.
    #expect(try bank.restored().call(Bank.total, .init()).total == 100)
  }
}
