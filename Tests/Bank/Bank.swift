import Lockstep
import LockstepServices
import SwiftProtobuf

/// Accounts and the money in them: a replicated service, complete.
struct Bank: Service {
  static let schema = Schema(name: "bank.v1.Bank", descriptorSet: PackageResources.bank_descriptor)

  static let methods = Methods<Bank> {
    Command("Deposit", deposit)
    Command("Transfer", transfer)
    Query("Balance", balance)
    Query("Total", total)
  }

  private var accounts = TextMap<Int64>()
  private(set) var total: Int64 = 0

  static func deposit(
    _ bank: inout Bank, _ request: Bank_V1_DepositRequest, _ context: inout ApplyContext
  ) throws(Status) -> Bank_V1_DepositReply {
    guard request.amount > 0 else { throw Status(.invalidArgument, "the amount must be more than 0") }
    // No balance exceeds the total, so what fits into the total fits into the account.
    let (total, overflow) = bank.total.addingReportingOverflow(request.amount)
    guard !overflow else { throw Status(.outOfRange, "the bank cannot hold so much money") }
    bank.total = total
    return .with { $0.balance = bank.add(request.amount, to: request.account) }
  }

  static func transfer(
    _ bank: inout Bank, _ request: Bank_V1_TransferRequest, _ context: inout ApplyContext
  ) throws(Status) -> Bank_V1_TransferReply {
    guard request.amount > 0 else { throw Status(.invalidArgument, "the amount must be more than 0") }
    let funds = bank.accounts[request.from] ?? 0
    guard funds >= request.amount else {
      throw Status(.failedPrecondition, "\(request.from) has \(funds), which is less than \(request.amount)")
    }
    bank.accounts[request.from] = funds - request.amount
    let balance = bank.add(request.amount, to: request.to)
    return .with {
      $0.fromBalance = bank.accounts[request.from] ?? 0
      $0.toBalance = balance
    }
  }

  static func balance(
    _ bank: borrowing Bank, _ request: Bank_V1_BalanceRequest, _ context: QueryContext
  ) throws(Status) -> Bank_V1_BalanceReply {
    .with { $0.balance = bank.accounts[request.account] ?? 0 }
  }

  static func total(
    _ bank: borrowing Bank, _ request: Bank_V1_TotalRequest, _ context: QueryContext
  ) throws(Status) -> Bank_V1_TotalReply {
    .with {
      $0.total = bank.total
      $0.accounts = Int64(bank.accounts.count)
    }
  }

  func balance(of account: String) -> Int64 { accounts[account] ?? 0 }

  private mutating func add(_ amount: Int64, to account: String) -> Int64 {
    let balance = (accounts[account] ?? 0) + amount
    accounts[account] = balance
    return balance
  }

  init() {}

  init(restoring snapshot: inout SnapshotReader) throws(Status) {
    accounts = try TextMap(restoring: &snapshot)
    accounts.forEach { total += $1 }
  }

  func freeze() -> any Snapshot { accounts.freeze() }

  var digest: UInt64 { accounts.digest }
}

@main
struct BankNode {
  static func main() async { await NodeCommand.run(services: [Bank.self]) }
}
