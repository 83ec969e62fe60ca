import ArgumentParser
import Foundation
import Lockstep
import LockstepReflection

struct NewCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "new",
    abstract: "Write a package with a service of your own, to begin with.",
    discussion: """
      The package has a .proto file, the Swift and the description that are made of it, a service, a node program, a unit \
      test, and a test of whole clusters under faults. It builds and its tests pass as it is. In it, 'generate' makes the \
      messages anew after a change, and 'run' starts three nodes.

      Example: lockstep new orders && cd orders && swift test && ./run
      """)

  @Argument(
    help:
      "Its name: letters, digits and underscores, beginning with a letter; no word of Swift or protobuf, nor the name of a type that the package uses."
  )
  var name: String

  @Option(
    help: ArgumentHelp(
      "Where it goes; made if it is not there, and empty if it is. (default: ./NAME)", valueName: "dir"))
  var dir: String?

  @Option(
    help: ArgumentHelp(
      "The Lockstep that it uses: a directory with its sources, or the URL of its repository. (default: the sources that this program was built of, as they lie on the disk)",
      valueName: "path|url"))
  var lockstep: String?

  @Option(help: ArgumentHelp("With a URL: the version to use, and later ones like it.", valueName: "version"))
  var lockstepVersion: String?

  @Flag(help: "Print one JSON object: where the package is, which Lockstep it uses, and its files.")
  var json = false

  func run() throws {
    guard let names = NewPackage.Names(name) else {
      throw CommandFailure.usage(
        "'\(name)' is no name for a service: it has at most 64 English letters, digits and underscores, begins with a letter, ends with no underscore, and is no word of Swift's, protobuf's or lockstep's, as 'counter' is"
      )
    }
    for (option, value) in [("--dir", dir), ("--lockstep", lockstep)] where value == "" {
      throw CommandFailure.usage("\(option) is empty")
    }
    let directory = URL(fileURLWithPath: dir ?? name, isDirectory: true)
    let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "lockstep"
    let dependency = try dependency(of: directory)
    let package = NewPackage(names, dependency: dependency, program: Self.quoted(program))
    let files = try package.files()
    try write(files, to: directory)
    if json {
      Output.line(
        .object([
          "ok": true, "directory": .init(directory.path), "lockstep": .init(dependency.sources),
          "files": .array(files.map { .init($0.path) }),
        ]))
    } else {
      for file in files { Output.line("\(directory.relativePath)/\(file.path)") }
      Output.error("it takes Lockstep from \(dependency.words)")
      Output.error("next: cd \(Self.quoted(directory.relativePath)) && swift test && ./run")
    }
  }

  /// As a package's manifest names it.
  func dependency(of directory: URL) throws -> NewPackage.Dependency {
    if let lockstep, lockstep.contains("://") || lockstep.hasPrefix("git@") {
      guard let lockstepVersion else {
        throw CommandFailure.usage("--lockstep \(lockstep) is a URL, and needs --lockstep-version")
      }
      guard lockstepVersion.wholeMatch(of: #/[0-9]+\.[0-9]+\.[0-9]+/#) != nil else {
        throw CommandFailure.usage("--lockstep-version '\(lockstepVersion)' is no version like 1.2.3")
      }
      // SwiftPM calls a package by the last part of its URL.
      let last = lockstep.split(separator: "/").last.map(String.init) ?? ""
      let package = (last.hasSuffix(".git") ? String(last.dropLast(4)) : last).lowercased()
      guard lockstep.split(separator: "/").count > 2 || lockstep.hasPrefix("git@"), !package.isEmpty else {
        throw CommandFailure.usage("--lockstep \(lockstep) names no repository")
      }
      return NewPackage.Dependency(
        declaration: ".package(url: \(Self.literal(lockstep)), from: \(Self.literal(lockstepVersion)))",
        package: package, sources: lockstep, version: lockstepVersion)
    }
    guard lockstepVersion == nil else { throw CommandFailure.usage("--lockstep-version goes with a URL") }
    let path = lockstep ?? Self.sources
    let root = URL(fileURLWithPath: path, isDirectory: true).standardizedFileURL.path
    guard FileManager.default.fileExists(atPath: "\(root)/Sources/LockstepServices/ReplicatedService.swift") else {
      let what =
        lockstep == nil
        ? "the sources that this program was built of are not at \(root) any more"
        : "\(root) has no sources of Lockstep"
      throw CommandFailure.usage("\(what): say --lockstep with a directory, or a URL and --lockstep-version")
    }
    // And by the last part of its path, in which the two must differ.
    let (own, other) = (directory.standardizedFileURL.lastPathComponent, URL(fileURLWithPath: root).lastPathComponent)
    guard own.lowercased() != other.lowercased() else {
      throw CommandFailure.usage("the directory of the package cannot be called '\(own)', as that of Lockstep is")
    }
    return NewPackage.Dependency(
      declaration: ".package(name: \"lockstep\", path: \(Self.literal(root)))", package: "lockstep", sources: root)
  }

  private static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
    "../../.."
  ).path

  private static func literal(_ text: String) -> String {
    "\"" + text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"") + "\""
  }

  static func quoted(_ text: String) -> String {
    text.allSatisfy { $0.isLetter || $0.isNumber || "/._-".contains($0) }
      ? text : "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'"
  }

  /// All of it is beside where it belongs before any of it is there.
  private func write(_ files: [NewPackage.File], to directory: URL) throws {
    let manager = FileManager.default
    do {
      var isDirectory: ObjCBool = false
      if manager.fileExists(atPath: directory.path, isDirectory: &isDirectory) {
        guard isDirectory.boolValue else {
          throw CommandFailure.usage("\(directory.path) is there already, and is no directory")
        }
        guard try manager.contentsOfDirectory(atPath: directory.path).isEmpty else {
          throw CommandFailure.usage("\(directory.path) is there already, and is not empty")
        }
      }
      let parent = directory.deletingLastPathComponent()
      try manager.createDirectory(at: parent, withIntermediateDirectories: true)
      let stage = parent.appendingPathComponent(".\(directory.lastPathComponent).new-\(getpid())", isDirectory: true)
      do {
        for file in files {
          let path = stage.appendingPathComponent(file.path)
          try manager.createDirectory(at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
          try Data(file.bytes).write(to: path)
          if file.isProgram { try manager.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path.path) }
        }
        if manager.fileExists(atPath: directory.path) { try manager.removeItem(at: directory) }
        try manager.moveItem(at: stage, to: directory)
      } catch {
        try? manager.removeItem(at: stage)
        throw error
      }
    } catch let failure as CommandFailure {
      throw failure
    } catch {
      throw CommandFailure.failed("\(directory.path) cannot be written: \((error as NSError).localizedDescription)")
    }
  }
}
