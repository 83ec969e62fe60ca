// swift-tools-version: 6.2
import PackageDescription

// The dependency lists below are the architecture: tools/test builds with
// --explicit-target-dependency-import-check error, so that a module imports what is listed here and nothing else.

// Every test runs with the dynamic checks of exclusive access; in release they cost a fifth of all instructions. Swift
// before 6.3 refuses such flags of a package that another one depends on by its version.
#if compiler(>=6.3)
  let mayHaveUnsafeFlags = true
#else
  let mayHaveUnsafeFlags = !Context.packageDirectory.contains("/checkouts/")
#endif
let fast: [SwiftSetting] = [
  .unsafeFlags(["-enforce-exclusivity=unchecked", "-cross-module-optimization"], .when(configuration: .release))
]

let settings: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    // Says of what is borrowed from whom; see Sources/LockstepExecution/MethodCall.swift.
    .enableExperimentalFeature("Lifetimes"),
  ] + (mayHaveUnsafeFlags ? fast : [])

func module(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = [], exclude: [String] = [])
  -> Target
{
  .target(name: name, dependencies: dependencies, exclude: exclude, resources: resources, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = [], exclude: [String] = [])
  -> Target
{
  .testTarget(name: name, dependencies: dependencies, exclude: exclude, resources: resources, swiftSettings: settings)
}

let nio: [Target.Dependency] = [
  .product(name: "NIOCore", package: "swift-nio"),
  .product(name: "NIOPosix", package: "swift-nio"),
]
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")

let package = Package(
  name: "lockstep",
  products: [
    .library(name: "Lockstep", targets: ["Lockstep"]),
    .library(name: "LockstepServices", targets: ["LockstepServices"]),
    .library(name: "LockstepCommand", targets: ["LockstepCommand"]),
    .library(name: "LockstepSimulation", targets: ["LockstepSimulation"]),
    // Alone in needing GRDB and SQLite: who does not use it does not build them.
    .library(name: "LockstepSQL", targets: ["LockstepSQL"]),
    .executable(name: "lockstep", targets: ["LockstepTool"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections.git", from: "1.1.0"),
    .package(url: "https://github.com/apple/swift-protobuf.git", from: "1.39.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift.git", from: "0.2.0"),
    .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
  ],
  targets: [
    .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),
    .systemLibrary(name: "CXXHash", providers: [.apt(["libxxhash-dev"])]),
    .systemLibrary(name: "CSQLiteHooks", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CMemory"),
    .systemLibrary(name: "CFiles"),
    .target(name: "CLockstepWire", dependencies: ["CProtobufC"]),
    module("LockstepConsensus", []),
    module("LockstepRequests", ["LockstepConsensus"]),
    module("LockstepExecution", ["LockstepConsensus", "LockstepRequests", "CXXHash", deque]),
    module("LockstepWire", ["LockstepConsensus", "LockstepRequests", "CLockstepWire", "CProtobufC", "CXXHash"]),
    module("LockstepPeers", ["LockstepConsensus", "LockstepWire"]),
    module("LockstepStorage", ["LockstepConsensus", "LockstepWire", "CFiles"]),
    module("LockstepTransport", nio + ["CXXHash"]),
    module(
      "LockstepDriver",
      [
        deque, "LockstepConsensus", "LockstepRequests", "LockstepExecution", "LockstepWire", "LockstepStorage",
      ]),
    module(
      "Lockstep",
      nio + [
        logging, deque, lifecycle, "LockstepConsensus", "LockstepRequests", "LockstepExecution",
        "LockstepWire", "LockstepPeers", "LockstepStorage", "LockstepTransport", "LockstepDriver", "CMemory",
      ], resources: [.embedInCode("Generated/session.descriptor"), .embedInCode("Generated/changes.descriptor")]),
    // Alone among the libraries in needing ArgumentParser: who has a node beside others in a process does not build it.
    module("LockstepCommand", ["Lockstep", "LockstepServices", "LockstepExecution", arguments, logging, signals]),
    module(
      "LockstepServices",
      ["Lockstep", "LockstepConsensus", "LockstepExecution", "LockstepRequests", "CMemory", protobuf],
      resources: [.embedInCode("Generated/key_value.descriptor"), .embedInCode("Generated/counter.descriptor")]),
    module(
      "LockstepSQL",
      [
        "LockstepServices", "Lockstep", "LockstepExecution", "LockstepRequests", "LockstepConsensus", "CSQLiteHooks",
        protobuf, .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "GRDBSQLite", package: "GRDB.swift"),
      ], resources: [.embedInCode("Generated/sql.descriptor")]),
    module("LockstepReflection", ["CProtobufC"]),
    module(
      "LockstepSimulation",
      [
        "LockstepConsensus", "LockstepRequests", "LockstepExecution", "LockstepWire", "LockstepPeers",
        "LockstepStorage",
        "LockstepTransport", "LockstepDriver",
      ]),
    .executableTarget(
      name: "LockstepTool",
      dependencies: nio + [
        arguments, histogram, "Lockstep", "LockstepCommand", "LockstepConsensus", "LockstepExecution",
        "LockstepReflection",
        "LockstepRequests", "LockstepSQL", "LockstepServices", "LockstepSimulation", "LockstepStorage",
        "LockstepTransport", "LockstepWire", protobuf,
      ], path: "tools/lockstep",
      resources: [
        "template.proto", "template.pb.txt", "template.descriptor", "Package.txt", "README.txt", "gitignore.txt",
        "generate.txt", "run.txt", "Service.txt", "Node.txt", "ServiceTests.txt", "FaultTests.txt",
      ].map { .embedInCode("New/Template/\($0)") }, swiftSettings: settings, plugins: ["CommitOfBuild"]),
    .plugin(name: "CommitOfBuild", capability: .buildTool(), path: "tools/commit"),
    // A user's own program, as the README shows it.
    .executableTarget(
      name: "bank", dependencies: ["LockstepServices", "LockstepCommand", protobuf], path: "Tests/Bank",
      exclude: ["bank.proto"],
      resources: [.embedInCode("bank.descriptor")], swiftSettings: settings),
    // What a command costs; see tools/instructions.
    .executableTarget(
      name: "command-cost",
      dependencies: [
        arguments, "LockstepServices", "LockstepConsensus", "LockstepDriver", "LockstepExecution", "LockstepRequests",
        "LockstepStorage", "LockstepWire", "DiskTesting",
      ], path: "Tests/CommandCost", swiftSettings: settings),
    // What tests of several modules share.
    .target(
      name: "DiskTesting", dependencies: ["LockstepStorage"], path: "Tests/Support/Disk", swiftSettings: settings),
    tests("LockstepConsensusTests", ["LockstepConsensus"]),
    tests("LockstepExecutionTests", ["LockstepExecution", "LockstepConsensus", "LockstepRequests"]),
    tests("LockstepPeersTests", ["LockstepPeers", "LockstepConsensus", "LockstepWire"]),
    tests(
      "LockstepStorageTests", ["LockstepStorage", "LockstepConsensus", "LockstepWire", "DiskTesting"],
      exclude: ["Directories"]),
    tests("LockstepTransportTests", nio + [.product(name: "NIOEmbedded", package: "swift-nio"), "LockstepTransport"]),
    tests(
      "LockstepSQLTests",
      [
        logging, "LockstepSQL", "Lockstep", "LockstepExecution", "LockstepRequests", "LockstepConsensus",
        "LockstepServices", protobuf,
      ],
      exclude: ["Shell"]),
    tests("LockstepReflectionTests", ["LockstepReflection"]),
    tests(
      "LockstepServicesTests",
      ["LockstepServices", "LockstepExecution", "LockstepConsensus", "CMemory", "bank", protobuf]),
    tests(
      "LockstepWireTests", ["LockstepWire", "LockstepRequests", "LockstepConsensus", "CLockstepWire", "CProtobufC"]),
    tests(
      "LockstepDriverTests",
      [
        "LockstepDriver", "LockstepConsensus", "LockstepRequests", "LockstepExecution", "LockstepStorage",
        "LockstepWire",
      ]),
    tests(
      "LockstepTests",
      nio + [
        logging, arguments, lifecycle, "Lockstep", "LockstepCommand", "LockstepServices", "LockstepConsensus",
        "LockstepDriver",
        "LockstepExecution", "LockstepRequests",
        "LockstepSimulation", "LockstepStorage", "LockstepTransport", "LockstepWire", protobuf,
      ]),
    tests(
      "LockstepSimulationTests",
      [
        "LockstepSimulation", "Lockstep", "LockstepServices", "LockstepConsensus", "LockstepDriver", "LockstepRequests",
        "LockstepExecution", "LockstepStorage", "LockstepWire", "bank", "DiskTesting", protobuf,
      ], resources: [.copy("Histories")]),
    tests(
      "LockstepToolTests",
      nio + [
        arguments, "LockstepTool", "Lockstep", "LockstepCommand", "LockstepConsensus", "LockstepExecution",
        "LockstepReflection",
        "LockstepRequests", "LockstepServices", "LockstepStorage", "LockstepTransport", "LockstepWire", protobuf,
      ]),
    tests(
      "LockstepEndToEndTests",
      ["LockstepTool", "bank", "LockstepConsensus", "LockstepReflection", "LockstepWire", "CXXHash"]),
  ]
)
