import SwiftProtobuf

/// The files of a package with a service of somebody's own, made of the template in `Template`.
struct NewPackage {
  struct File: Equatable {
    let path: String
    let bytes: [UInt8]
    var isProgram = false
  }

  /// How the service is called where: `order_book` is `OrderBook` in Swift and `order_book.v1.OrderBook` on the wire.
  struct Names: Equatable {
    /// Of the package, its module and the protobuf package.
    let module: String
    /// Of the type.
    let type: String

    /// Nil when it is no name, or would collide with one. `OrderBook` is another spelling of `order_book`, since protoc makes
    /// names for Swift of the words of a package, and packages are written small.
    init?(_ text: String) {
      let isName = text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
      guard isName, let first = text.first, first.isLetter, text.utf8.count <= 64, !text.hasSuffix("_") else {
        return nil
      }
      var words = ""
      var isAfterSmall = false
      for letter in text {
        if letter.isUppercase, isAfterSmall { words += "_" }
        words += letter.lowercased()
        isAfterSmall = letter.isLowercase || letter.isNumber
      }
      module = words
      type = words.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
      guard !Self.taken.contains(type.lowercased()) else { return nil }
    }

    /// Words of Swift and protobuf, and types and modules that the package uses.
    private static let taken: Set<String> = [
      "addreply", "addrequest", "applycontext", "counter", "dispatch", "getreply", "getrequest", "help", "int64",
      "keyvalue", "packageresources", "querycontext", "sendable", "snapshot", "snapshotreader", "storedvalue",
      "testmachine", "void",
      "callstatus", "clustersimulation", "nodecommand", "servicemachine", "simulatedcall", "lockstepclient",
      "lockstepcommand", "lockstepserver", "replicatedservice",
      "actor", "any", "array", "as", "associatedtype", "async", "await", "bool", "break", "bytes", "case", "catch",
      "class",
      "command", "context", "continue", "default", "defer", "deinit", "dictionary", "do", "double", "else", "enum",
      "extension",
      "fallthrough", "false", "fileprivate", "float", "for", "func", "group", "guard", "if", "import", "in", "init",
      "inout",
      "int", "internal", "is", "let", "lockstep", "lockstepservices", "lockstepsimulation", "message", "methods", "nil",
      "node",
      "oneof", "operator", "package", "precedencegroup", "private", "protocol", "public", "query", "repeat", "rethrows",
      "return", "rpc", "schema", "self", "service", "set", "some", "static", "status", "string", "struct", "subscript",
      "super",
      "swift", "swiftprotobuf", "switch", "syntax", "test", "testing", "textmap", "throw", "throws", "true", "try",
      "typealias",
      "var", "where", "while",
    ]
  }

  private let names: Names
  private let dependency: Dependency
  private let program: String

  /// On Lockstep: as the manifest has it, what its products say that they are of, and where its sources are.
  struct Dependency {
    let declaration: String
    let package: String
    /// A directory, or the URL of a repository.
    let sources: String
    /// Of a repository.
    var version: String?

    var words: String {
      version.map { "\(sources), version \($0) or a later one like it" } ?? "\(sources), as it lies on the disk"
    }
  }

  /// `program`: where this one is, for whoever has none on the PATH, as a shell reads it.
  init(_ names: Names, dependency: Dependency, program: String) {
    self.names = names
    self.dependency = dependency
    self.program = program
  }

  func files() throws -> [File] {
    let (module, type) = (names.module, names.type)
    return [
      text("Package.swift", PackageResources.Package_txt),
      text("README.md", PackageResources.README_txt),
      text(".gitignore", PackageResources.gitignore_txt),
      text("generate", PackageResources.generate_txt, isProgram: true),
      text("run", PackageResources.run_txt, isProgram: true),
      text("Sources/\(module)/\(module).proto", PackageResources.template_proto),
      text("Sources/\(module)/\(module).pb.swift", PackageResources.template_pb_txt),
      File(path: "Sources/\(module)/\(module).descriptor", bytes: try descriptor()),
      text("Sources/\(module)/\(type).swift", PackageResources.Service_txt),
      text("Sources/\(module)/Node.swift", PackageResources.Node_txt),
      text("Tests/\(type)Tests/\(type)Tests.swift", PackageResources.ServiceTests_txt),
      text("Tests/\(type)Tests/\(type)FaultTests.swift", PackageResources.FaultTests_txt),
    ]
  }

  private func text(_ path: String, _ template: [UInt8], isProgram: Bool = false) -> File {
    var text = String(decoding: template, as: UTF8.self)
    for (word, name) in [
      ("@dependency@", dependency.declaration), ("@package@", dependency.package), ("@lockstep@", program),
      ("@name@", names.module), ("@Name@", names.type), ("TEMPLATE", names.type),
      ("Template", names.type), ("template", names.module),
    ] { text = text.split(separator: word, omittingEmptySubsequences: false).joined(separator: name) }
    return File(path: path, bytes: Array(text.utf8), isProgram: isProgram)
  }

  /// The description of the template's service, under the new names: as protoc makes it of the new .proto file.
  private func descriptor() throws -> [UInt8] {
    var set = try Google_Protobuf_FileDescriptorSet(serializedBytes: PackageResources.template_descriptor)
    func renamed(_ name: String) -> String {
      name.split(separator: "Template", omittingEmptySubsequences: false).joined(separator: names.type)
        .split(separator: "template", omittingEmptySubsequences: false).joined(separator: names.module)
    }
    for file in set.file.indices {
      set.file[file].name = renamed(set.file[file].name)
      set.file[file].package = renamed(set.file[file].package)
      for service in set.file[file].service.indices {
        set.file[file].service[service].name = renamed(set.file[file].service[service].name)
        for method in set.file[file].service[service].method.indices {
          let before = set.file[file].service[service].method[method]
          set.file[file].service[service].method[method].inputType = renamed(before.inputType)
          set.file[file].service[service].method[method].outputType = renamed(before.outputType)
        }
      }
    }
    return try set.serializedBytes()
  }
}
