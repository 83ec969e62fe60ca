import Foundation
import LockstepSimulation

/// Runs a seed again in another process, where sets and dictionaries have another order.
enum SeedReplay {
  static func check(_ report: SimulationReport, arguments: [String]) throws {
    var total = SimulationTotal()
    total.add(report)
    let here = "\"trace\":\"\(String(total.trace, radix: 16))\""
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try UpCommand.ownProgram())
    process.arguments = ["simulate", "--json", "--once", "--seed", String(report.seed)] + arguments
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let there = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard there.contains(here) else {
      throw CommandFailure.failed(
        "seed \(report.seed) runs differently in another process: \(here) here, \(there) there")
    }
  }
}
