import ArgumentParser
import Glibc

struct SQLCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sql",
    abstract: "A prompt, or a pipe, to replicated SQLite ('lockstep up --service sql').",
    discussion: """
      Reads statements, each ending with a semicolon, and writes rows as the sqlite3 shell does: in list mode, with '|', \
      and nothing for NULL. It goes on after an error, which goes to stderr, unless '.bail on' was said; the exit code is 1 \
      if there was one. Each statement is a transaction of its own. '.help' lists the dot commands.

      Example: echo 'SELECT 1, NULL;' | lockstep sql
      """)

  @OptionGroup var defaults: CallDefaults
  @OptionGroup var cluster: ClusterOptions

  func run() async throws {
    let shell = SQLShell(try cluster.client(), defaults.callOptions)
    await shell.run(isPrompting: isatty(STDIN_FILENO) == 1)
    if shell.hasFailed { throw CommandFailure.failed("") }
  }
}
