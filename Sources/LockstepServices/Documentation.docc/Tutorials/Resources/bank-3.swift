import LockstepServices
import SwiftProtobuf

/// Accounts and the money in them: a replicated service, complete.
struct Bank: ReplicatedService {
  static let schema = Schema(name: "bank.v1.Bank", descriptorSet: PackageResources.bank_descriptor)

  static let deposit = Command<Bank, Bank_V1_DepositRequest, Bank_V1_DepositReply>("Deposit") { try $0.deposit($1, $2) }
  static let transfer = Command<Bank, Bank_V1_TransferRequest, Bank_V1_TransferReply>("Transfer") {
    try $0.transfer($1, $2)
  }
  static let balance = Query<Bank, Bank_V1_BalanceRequest, Bank_V1_BalanceReply>("Balance") { $0.balance($1, $2) }
  static let total = Query<Bank, Bank_V1_TotalRequest, Bank_V1_TotalReply>("Total") { $0.total($1, $2) }

  static let methods = Methods<Bank> {
    deposit
    transfer
    balance
    total
  }

  private var accounts = TextMap<Int64>()
  private(set) var total: Int64 = 0

  mutating func deposit(
    _ request: Bank_V1_DepositRequest, _ context: ApplyContext
  ) throws(CallStatus) -> Bank_V1_DepositReply {
    guard request.amount > 0 else { throw CallStatus(.invalidArgument, "the amount must be more than 0") }
    // No balance exceeds the total, so what fits into the total fits into the account.
    let (sum, overflow) = total.addingReportingOverflow(request.amount)
    guard !overflow else { throw CallStatus(.outOfRange, "the bank cannot hold so much money") }
    total = sum
    return .with { $0.balance = add(request.amount, to: request.account) }
  }

  mutating func transfer(
    _ request: Bank_V1_TransferRequest, _ context: ApplyContext
  ) throws(CallStatus) -> Bank_V1_TransferReply {
    guard request.amount > 0 else { throw CallStatus(.invalidArgument, "the amount must be more than 0") }
    let funds = accounts[request.from] ?? 0
    guard funds >= request.amount else {
      throw CallStatus(.failedPrecondition, "\(request.from) has \(funds), which is less than \(request.amount)")
    }
    accounts[request.from] = funds - request.amount
    let balance = add(request.amount, to: request.to)
    return .with {
      $0.fromBalance = accounts[request.from] ?? 0
      $0.toBalance = balance
    }
  }

  func balance(_ request: Bank_V1_BalanceRequest, _ context: QueryContext) -> Bank_V1_BalanceReply {
    .with { $0.balance = accounts[request.account] ?? 0 }
  }

  func total(_ request: Bank_V1_TotalRequest, _ context: QueryContext) -> Bank_V1_TotalReply {
    .with {
      $0.total = total
      $0.accounts = Int64(accounts.count)
    }
  }

  func balance(of account: String) -> Int64 { accounts[account] ?? 0 }

  private mutating func add(_ amount: Int64, to account: String) -> Int64 {
    let balance = (accounts[account] ?? 0) + amount
    accounts[account] = balance
    return balance
  }

  init() {}

  init(restoring snapshot: inout SnapshotReader) throws(CallStatus) {
    accounts = try TextMap(restoring: &snapshot)
    accounts.forEach { total += $1 }
  }

  func freeze() -> any Snapshot { accounts.freeze() }

  var digest: UInt64 { accounts.digest }
}
