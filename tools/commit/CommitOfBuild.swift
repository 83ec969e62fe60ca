import Foundation
import PackagePlugin

/// Writes the commit that the program is built of, for `lockstep --version`: at every build that follows a commit. Package.swift
/// could ask for it as well, and SwiftPM would go on giving it the first answer.
@main
struct CommitOfBuild: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: Target) -> [Command] {
    let git = context.package.directoryURL.appending(path: ".git")
    let output = context.pluginWorkDirectoryURL.appending(path: "CommitOfBuild.swift")
    // Changes with each commit and checkout; what is not a repository of its own has none.
    let log = git.appending(path: "logs/HEAD")
    let script = """
      commit=$(git -C "$1" rev-parse --short=12 HEAD 2>/dev/null) || commit=unknown
      printf 'enum CommitOfBuild {\\n  static let name = "%s"\\n}\\n' "$commit" >"$2"
      """
    return [
      .buildCommand(
        displayName: "Commit of this build", executable: URL(filePath: "/bin/sh"),
        arguments: [
          "-c", script, "sh", context.package.directoryURL.path(percentEncoded: false),
          output.path(percentEncoded: false),
        ],
        inputFiles: FileManager.default.fileExists(atPath: log.path(percentEncoded: false)) ? [log] : [],
        outputFiles: [output])
    ]
  }
}
