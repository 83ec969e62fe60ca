import Foundation

/// How much of a sweep is run: with LOCKSTEP_ROUNDS=full all of it, which takes long in a debug build, else what
/// finds a mistake in the common cases. Simulations by the hundred are for the release build: `lockstep simulate`.
func extent<Size>(quick: Size, full: Size) -> Size {
  ProcessInfo.processInfo.environment["LOCKSTEP_ROUNDS"] == "full" ? full : quick
}
