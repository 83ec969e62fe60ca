public import LockstepExecution

/// A replicated protobuf service: a value that is the state, and a `Command` or `Query` for each method of the schema.
///
/// ```swift
/// struct Bank: ReplicatedService {
///   static let schema = Schema(name: "bank.v1.Bank", descriptorSet: PackageResources.bank_descriptor)
///   static let deposit = Command<Bank, Bank_V1_DepositRequest, Bank_V1_DepositReply>("Deposit") {
///     try $0.deposit($1, $2)
///   }
///   static let balance = Query<Bank, Bank_V1_BalanceRequest, Bank_V1_BalanceReply>("Balance") { $0.balance($1, $2) }
///   static let methods = Methods<Bank> {
///     deposit
///     balance
///   }
///
///   mutating func deposit(
///     _ request: Bank_V1_DepositRequest, _ context: ApplyContext
///   ) throws(CallStatus) -> Bank_V1_DepositReply { … }
///   func balance(_ request: Bank_V1_BalanceRequest, _ context: QueryContext) -> Bank_V1_BalanceReply { … }
///
///   private var accounts = TextMap<Int64>()
///   init() {}
///   init(restoring snapshot: inout SnapshotReader) throws(CallStatus) { accounts = try TextMap(restoring: &snapshot) }
///   func freeze() -> any Snapshot { accounts.freeze() }
///   var digest: UInt64 { accounts.digest }
/// }
/// ```
///
/// Commands must give the same result on every replica: what they know of the world comes from the state, the request
/// and the context. A command that throws should leave the state as it was: nothing undoes what it has changed before.
public protocol ReplicatedService: Sendable {
  /// The service's full name and the schema that describes it.
  static var schema: Schema { get }

  /// One entry for each method of the schema.
  static var methods: Methods<Self> { get }

  /// The state before the first command.
  init()

  /// The state as it is, to be read on another thread while commands go on: hold it in collections that copy in O(1),
  /// such as `TextMap`, and freeze those. `JoinedSnapshot` is of several, `EncodedSnapshot` of anything else.
  func freeze() -> any Snapshot

  /// The state that was frozen, read in the order in which it was written; `dataLoss` when the bytes are no such state.
  /// That nothing follows is looked after.
  init(restoring snapshot: inout SnapshotReader) throws(CallStatus)

  /// To be raised when the same commands lead to another state, or the snapshot has another form: 1 unless you say so,
  /// and never 0.
  /// `init(restoring:)` is given snapshots of this version and, as `snapshot.version` says, of earlier ones.
  static var version: UInt32 { get }

  /// A number that is equal when, and for practical purposes only when, the state is; read often, so keep it up to
  /// date rather than compute it (`TextMap.digest` is). `StableHasher` makes one of several.
  var digest: UInt64 { get }
}

extension ReplicatedService {
  /// 1, until the service says otherwise.
  public static var version: UInt32 { 1 }
}
