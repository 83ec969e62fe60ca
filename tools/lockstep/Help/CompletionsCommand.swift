import ArgumentParser

struct CompletionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "completions",
    abstract: "Write what completes this program's commands and options in a shell.",
    discussion: """
      Examples:
        lockstep completions bash > /etc/bash_completion.d/lockstep
        lockstep completions zsh > ~/.zsh/completions/_lockstep
        lockstep completions fish > ~/.config/fish/completions/lockstep.fish
      """)

  enum Shell: String, CaseIterable, ExpressibleByArgument {
    case bash, zsh, fish

    var parsers: CompletionShell {
      switch self {
      case .bash: .bash
      case .zsh: .zsh
      case .fish: .fish
      }
    }
  }

  @Argument(help: "bash, zsh or fish.")
  var shell: Shell

  func run() { Output.write(Program.completionScript(for: shell.parsers)) }
}
