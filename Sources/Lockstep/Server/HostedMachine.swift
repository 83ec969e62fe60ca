package import LockstepExecution

/// What a node hosts.
package enum HostedMachine: Sendable {
  /// In memory; as it is before the first command.
  case inMemory(any StateMachine)
  /// On a disk of its own.
  case stored(any StoredMachine)

  /// What might make two nodes differ in what they compute.
  package var names: [String] {
    switch self {
    case .inMemory(let machine): machine.schemas.map(\.name)
    case .stored(let machine): machine.schemas.map(\.name) + [machine.environment]
    }
  }
}
