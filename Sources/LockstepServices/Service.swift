public import LockstepExecution

/// A replicated protobuf service: a value that is the state, and a static function for each method of the schema.
///
/// ```swift
/// struct Bank: Service {
///   static let schema = Schema(name: "bank.v1.Bank", descriptorSet: PackageResources.bank_descriptor)
///   static let methods = Methods<Bank> {
///     Command("Deposit", deposit)
///     Query("Balance", balance)
///   }
///   static func deposit(
///     _ bank: inout Bank, _ request: Bank_V1_DepositRequest, _ context: inout ApplyContext
///   ) throws(Status) -> Bank_V1_DepositReply { … }
///   static func balance(
///     _ bank: borrowing Bank, _ request: Bank_V1_BalanceRequest, _ context: QueryContext
///   ) throws(Status) -> Bank_V1_BalanceReply { … }
///
///   private var accounts = TextMap<Int64>()
///   init() {}
///   init(restoring snapshot: [UInt8]) throws(Status) { accounts = try TextMap(restoring: snapshot) }
///   func snapshot(_ write: ([UInt8]) -> Void) { accounts.snapshot(write) }
///   var digest: UInt64 { accounts.digest }
/// }
/// ```
///
/// Commands must give the same result on every replica: what they know of the world comes from the state, the request
/// and the context. A command that throws should leave the state as it was: nothing undoes what it has changed before.
public protocol Service: Sendable {
  /// The service's full name and the schema that describes it.
  static var schema: Schema { get }

  /// One entry for each method of the schema.
  static var methods: Methods<Self> { get }

  /// The state before the first command.
  init()

  /// The state as bytes, in pieces of any length. Called on a copy and on another thread, while the original goes on:
  /// hold the state in collections that copy in O(1), such as `TextMap`.
  func snapshot(_ write: ([UInt8]) -> Void)

  /// The state from all the pieces that `snapshot` wrote, put together; `dataLoss` when they are no such bytes.
  init(restoring snapshot: [UInt8]) throws(Status)

  /// A number that is equal when, and for practical purposes only when, the state is; read often, so keep it up to
  /// date rather than compute it (`TextMap.digest` is). `StableHasher` makes one of several.
  var digest: UInt64 { get }
}
