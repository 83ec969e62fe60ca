/// What to say to someone whose arguments were not understood, when a '-' may be the reason.
package enum DashHint {
  /// Nil: no argument looks like it.
  package static func text(_ arguments: [String]) -> String? {
    let options = arguments.prefix { $0 != "--" }
    for (place, argument) in options.enumerated() where argument.hasPrefix("-") && argument != "-" {
      let before = place > 0 ? options[place - 1] : ""
      // An option without a value of its own, and then this: it was meant to be that value.
      if before.hasPrefix("--"), !before.contains("="), !argument.hasPrefix("--") {
        return "'\(argument)' is taken for an option; as a value it is written \(before)=\(argument)"
      }
      if !argument.hasPrefix("--") {
        return "'\(argument)' is taken for an option; a name that begins with '-' comes after '--', "
          + "or is written './-...'"
      }
    }
    return nil
  }
}
