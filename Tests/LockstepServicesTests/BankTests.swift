import LockstepExecution
import LockstepServices
import Testing

@testable import bank

@Suite("bank")
struct BankTests {
  private var replica: Replica

  init() throws { replica = try Replica(Bank.self) }

  @Test("deposit, transfer, balance, total")
  mutating func business() throws {
    #expect(try replica.deposit("a", 10).balance == 10)
    #expect(try replica.deposit("a", 5).balance == 15)
    let reply = try replica.transfer("a", "b", 6)
    #expect(reply.fromBalance == 9 && reply.toBalance == 6)
    #expect(try replica.balance("b") == 6)
    #expect(try replica.balance("nobody") == 0)
    let total = try replica.total()
    #expect(total.total == 15 && total.accounts == 2)
  }

  @Test("a transfer to oneself changes nothing")
  mutating func toOneself() throws {
    _ = try replica.deposit("a", 10)
    let reply = try replica.transfer("a", "a", 4)
    #expect(reply.fromBalance == 10 && reply.toBalance == 10)
    #expect(try replica.total().total == 10)
  }

  @Test("what is refused is a recorded reply and changes nothing")
  mutating func refusals() throws {
    _ = try replica.deposit("a", 10)
    let digest = replica.digest
    #expect { try replica.transfer("a", "b", 11) } throws: { error in
      error as? CallStatus == CallStatus(.failedPrecondition, "a has 10, which is less than 11")
    }
    for amount in [0, -1, Int64.min] {
      #expect { try replica.deposit("a", amount) } throws: { ($0 as? CallStatus)?.code == .invalidArgument }
      #expect { try replica.transfer("a", "b", amount) } throws: { ($0 as? CallStatus)?.code == .invalidArgument }
    }
    #expect { try replica.deposit("b", .max) } throws: { ($0 as? CallStatus)?.code == .outOfRange }
    #expect(replica.digest == digest)
    #expect(replica.replies.count == 9)
  }

  @Test("snapshot and restore keep accounts and total")
  mutating func snapshot() throws {
    for number in 1...100 { _ = try replica.deposit("account \(number)", Int64(number)) }
    #expect(try replica.machine.digestRestored(from: replica.snapshot()) == replica.digest)
  }
}

extension Replica {
  fileprivate mutating func deposit(_ account: String, _ amount: Int64) throws -> Bank_V1_DepositReply {
    var request = Bank_V1_DepositRequest()
    request.account = account
    request.amount = amount
    return try command("bank.v1.Bank/Deposit", request)
  }

  fileprivate mutating func transfer(
    _ from: String, _ to: String, _ amount: Int64
  ) throws -> Bank_V1_TransferReply {
    var request = Bank_V1_TransferRequest()
    request.from = from
    request.to = to
    request.amount = amount
    return try command("bank.v1.Bank/Transfer", request)
  }

  fileprivate func balance(_ account: String) throws -> Int64 {
    var request = Bank_V1_BalanceRequest()
    request.account = account
    return try query("bank.v1.Bank/Balance", request, Bank_V1_BalanceReply.self).balance
  }

  fileprivate func total() throws -> Bank_V1_TotalReply {
    try query("bank.v1.Bank/Total", Bank_V1_TotalRequest())
  }
}
