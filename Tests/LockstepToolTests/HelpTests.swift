import ArgumentParser
import Testing

@testable import LockstepTool

@Suite("help: version, completions, manual")
struct HelpTests {
  @Test("the version names the commit and the formats")
  func version() {
    let text = VersionText.text
    #expect(
      text.hasPrefix("lockstep ") && text.contains("(commit ") && text.contains("clients 1") && text.contains("LKR1"))
  }

  @Test("the manual has every command and what a node can be told; no line of text is taken for a request of roff")
  func manual() {
    let lines = ManualPage.text().split(separator: "\n", omittingEmptySubsequences: false)
    let sections = Set(lines.filter { $0.hasPrefix(".SS ") }.map { String($0.dropFirst(4)) })
    for command in Program.configuration.subcommands where command.configuration.subcommands.isEmpty {
      #expect(sections.contains("lockstep \(command.configuration.commandName ?? "")"))
    }
    #expect(sections.contains("lockstep log verify"))
    #expect(lines.contains { $0.contains("\\-\\-disk\\-budget") })
    let requests: Set<Substring> = [".TH", ".SH", ".SS", ".PP", ".nf", ".fi"]
    for line in lines where line.hasPrefix(".") || line.hasPrefix("'") {
      #expect(requests.contains(line.prefix { $0 != " " }), "\(line)")
    }
  }

  @Test("examples stand in the help as they were written: no line is too long to be kept together")
  func examples() {
    // Where a line cannot be broken the parser breaks it at its indentation, and leaves a line of blanks.
    let lines = ManualPage.text().split(separator: "\n", omittingEmptySubsequences: false)
    for (line, next) in zip(lines, lines.dropFirst()) {
      #expect(line.isEmpty || line.contains { $0 != " " }, "before \(next)")
    }
  }

  @Test("completions know the commands", arguments: CompletionsCommand.Shell.allCases)
  func completions(shell: CompletionsCommand.Shell) {
    let script = Program.completionScript(for: shell.parsers)
    for word in ["snapshot", "simulate", "disk-budget"] { #expect(script.contains(word), "\(word)") }
  }
}
