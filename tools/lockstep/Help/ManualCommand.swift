import ArgumentParser
import Lockstep
import LockstepCommand

struct ManualCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "manual",
    abstract: "Write the manual page of this program.",
    discussion: """
      Examples:
        lockstep manual | man -l -
        lockstep manual > /usr/local/share/man/man1/lockstep.1
      """)

  func run() { Output.write(ManualPage.text()) }
}

/// A page for man(1), in roff, of what the commands say of themselves: the same definitions that parse and help.
enum ManualPage {
  static func text() -> String {
    var page = """
      .TH LOCKSTEP 1 "" "lockstep \(LockstepVersion.current)" "User Commands"
      .SH NAME
      lockstep \\- \(escaped(Program.configuration.abstract))
      .SH DESCRIPTION

      """
    page += Program.configuration.discussion.split(separator: "\n").map { ".PP\n\(escaped($0))\n" }.joined()
    page += ".SH COMMANDS\n"
    for command in commands(of: Program.self, path: "lockstep") {
      page += ".SS \(escaped(command.path))\n"
      page += verbatim(command.type.helpMessage(columns: 80))
      if command.type == NodeSubcommand.self { page += verbatim(NodeOptions.helpMessage(columns: 80)) }
    }
    return page
  }

  private struct Command {
    let path: String
    let type: any ParsableCommand.Type
  }

  /// Those that do something, in the order in which help lists them.
  private static func commands(of type: any ParsableCommand.Type, path: String) -> [Command] {
    type.configuration.subcommands.flatMap { type -> [Command] in
      let path = "\(path) \(type.configuration.commandName ?? "")"
      return type.configuration.subcommands.isEmpty
        ? [Command(path: path, type: type)] : commands(of: type, path: path)
    }
  }

  /// As it stands, line by line.
  private static func verbatim(_ text: String) -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    return ".nf\n" + lines.map { escaped($0) + "\n" }.joined() + ".fi\n"
  }

  /// No line is a request to roff, and no character another one.
  private static func escaped(_ text: some StringProtocol) -> String {
    let safe = text.map { $0 == "\\" ? "\\e" : $0 == "-" ? "\\-" : String($0) }.joined()
    return safe.hasPrefix(".") || safe.hasPrefix("'") ? "\\&" + safe : safe
  }
}

extension ParsableCommand {
  /// Of this command by itself.
  static func helpMessage(columns: Int) -> String { Program.helpMessage(for: self, columns: columns) }
}
