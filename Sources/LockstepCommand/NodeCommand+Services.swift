public import LockstepServices

extension NodeCommand {
  /// Runs services as one node with the program's arguments, until a signal ends it or it cannot go on; then the
  /// process exits with one of the codes of `NodeExitCode`.
  ///
  /// ```swift
  /// @main struct BankNode {
  ///   static func main() async { await NodeCommand.run(services: [Bank.self]) }
  /// }
  /// ```
  public static func run(
    services: [any ReplicatedService.Type], arguments: [String] = Array(CommandLine.arguments.dropFirst())
  ) async -> Never {
    await run(machine: try ServiceMachine(services: services), arguments: arguments)
  }
}
