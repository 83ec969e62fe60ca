import Foundation
import LockstepSimulation

/// Runs a seed again in another process, where sets and dictionaries have another order.
enum SeedReplay {
  /// Nil when it ran the same there.
  static func problem(_ report: SimulationReport, arguments: [String]) -> String? {
    var total = SimulationTotal()
    total.add(report)
    let here = "\"trace\":\"\(String(total.trace, radix: 16))\""
    let process = Process()
    // The program that runs, also when its file has been replaced meanwhile.
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe")
    process.arguments = ["simulate", "--json", "--once", "--seed", String(report.seed)] + arguments
    let output = Pipe()
    process.standardOutput = output
    do { try process.run() } catch { return "seed \(report.seed) cannot be run in another process: \(error)" }
    let there = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationReason == .exit, process.terminationStatus == 0 else {
      return "seed \(report.seed) ends with \(process.terminationStatus) in another process: \(there)"
    }
    return there.contains(here)
      ? nil : "seed \(report.seed) runs differently in another process: \(here) here, \(there) there"
  }
}
