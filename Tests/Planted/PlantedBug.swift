// In the copy of the tree that tools/planted makes, and nowhere else.

/// Mistakes that are made on purpose, to see that the simulator finds them.
@usableFromInline
package enum PlantedBug: String, CaseIterable, Sendable {
  // CASES: tools/planted writes those here that the marks name.

  // Unsafe: set before a simulation begins, and a simulation is one thread; tests only read it.
  #if DEBUG
    /// Tests are told by an argument.
    @usableFromInline nonisolated(unsafe) package static var active = CommandLine.arguments.lazy.compactMap {
      $0.hasPrefix("--planted=") ? PlantedBug(rawValue: String($0.dropFirst(10))) : nil
    }.first
  #else
    @usableFromInline nonisolated(unsafe) package static var active: PlantedBug?
  #endif
  /// The first invariant that did not hold.
  // Unsafe: written and read by that one thread.
  nonisolated(unsafe) package static var tripped: String?

  /// A precondition, except where a mistake is made: there it is told, and the run goes on.
  package static func check(_ holds: Bool, _ message: @autoclosure () -> String) {
    if active == nil {
      precondition(holds, message())
    } else if tripped == nil, !holds {
      tripped = message()
    }
  }
}

/// Is this mistake to be made?
@inlinable
@inline(__always)
package func planted(_ bug: PlantedBug) -> Bool { PlantedBug.active == bug }
