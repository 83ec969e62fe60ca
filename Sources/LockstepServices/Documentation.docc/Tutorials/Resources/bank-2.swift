import LockstepServices
import SwiftProtobuf

/// Accounts and the money in them: a replicated service.
struct Bank: ReplicatedService {
  static let schema = Schema(name: "bank.v1.Bank", descriptorSet: PackageResources.bank_descriptor)

  static let deposit = Command<Bank, Bank_V1_DepositRequest, Bank_V1_DepositReply>("Deposit") { try $0.deposit($1, $2) }
  static let transfer = Command<Bank, Bank_V1_TransferRequest, Bank_V1_TransferReply>("Transfer") {
    try $0.transfer($1, $2)
  }
  static let balance = Query<Bank, Bank_V1_BalanceRequest, Bank_V1_BalanceReply>("Balance") { $0.balance($1, $2) }

  static let methods = Methods<Bank> {
    deposit
    transfer
    balance
  }

  private var accounts = TextMap<Int64>()

  mutating func deposit(
    _ request: Bank_V1_DepositRequest, _ context: ApplyContext
  ) throws(CallStatus) -> Bank_V1_DepositReply {
    guard request.amount > 0 else { throw CallStatus(.invalidArgument, "the amount must be more than 0") }
    let balance = try add(request.amount, to: request.account)
    return .with { $0.balance = balance }
  }

  mutating func transfer(
    _ request: Bank_V1_TransferRequest, _ context: ApplyContext
  ) throws(CallStatus) -> Bank_V1_TransferReply {
    guard request.amount > 0 else { throw CallStatus(.invalidArgument, "the amount must be more than 0") }
    let funds = accounts[request.from] ?? 0
    guard funds >= request.amount else {
      throw CallStatus(.failedPrecondition, "\(request.from) has \(funds), which is less than \(request.amount)")
    }
    _ = try add(request.amount, to: request.to)
    accounts[request.from] = (accounts[request.from] ?? 0) - request.amount
    return .with {
      $0.fromBalance = accounts[request.from] ?? 0
      $0.toBalance = accounts[request.to] ?? 0
    }
  }

  func balance(_ request: Bank_V1_BalanceRequest, _ context: QueryContext) -> Bank_V1_BalanceReply {
    .with { $0.balance = accounts[request.account] ?? 0 }
  }

  func balance(of account: String) -> Int64 { accounts[account] ?? 0 }

  // A number that is too large must not trap: that would end every replica.
  private mutating func add(_ amount: Int64, to account: String) throws(CallStatus) -> Int64 {
    let (balance, overflow) = (accounts[account] ?? 0).addingReportingOverflow(amount)
    guard !overflow else { throw CallStatus(.outOfRange, "\(account) cannot hold so much money") }
    accounts[account] = balance
    return balance
  }

  init() {}

  init(restoring snapshot: inout SnapshotReader) throws(CallStatus) {
    accounts = try TextMap(restoring: &snapshot)
  }

  func freeze() -> any Snapshot { accounts.freeze() }

  var digest: UInt64 { accounts.digest }
}
