import ArgumentParser
import Foundation
import SwiftProtobuf
import Testing

@testable import LockstepTool

@Suite("new: a package of one's own")
struct NewPackageTests {
  @Test("names: of the module and of the type; what would not build, or collides, is refused")
  func names() throws {
    let name = try #require(NewPackage.Names("order_book"))
    #expect(name.module == "order_book" && name.type == "OrderBook")
    #expect(NewPackage.Names("OrderBook") == name && NewPackage.Names("orderBook") == name)
    #expect(NewPackage.Names("ORDERS")?.module == "orders" && NewPackage.Names("Orders")?.type == "Orders")
    for bad in [
      "", "2nd", "_x", "x_", "a-b", "a b", "örder", "a.b", "../x", "class", "Service", "status", "counter", "KeyValue",
      "key_value", "add_request",
      "AddReply", "snapshot", "apply_context", "dispatch", "help", "lockstep", "Query",
      String(repeating: "x", count: 65),
    ] { #expect(NewPackage.Names(bad) == nil, "\(bad)") }
  }

  @Test("nothing of the template's own names is left, in text and in the description")
  func renamed() throws {
    let names = try #require(NewPackage.Names("order_book"))
    let dependency = NewPackage.Dependency(declaration: ".package(path: \"/x\")", package: "x", sources: "/x")
    let files = try NewPackage(names, dependency: dependency, program: "/usr/bin/lockstep").files()
    #expect(files.filter(\.isProgram).map(\.path) == ["generate", "run"])
    for file in files {
      let text = String(decoding: file.bytes, as: UTF8.self)
      #expect(!text.contains("emplate") && !text.contains("TEMPLATE"), "\(file.path)")
      #expect(text.firstMatch(of: #/@[A-Za-z]+@/#) == nil, "\(file.path)")
    }
    let descriptor = try #require(files.first { $0.path == "Sources/order_book/order_book.descriptor" })
    let set = try Google_Protobuf_FileDescriptorSet(serializedBytes: descriptor.bytes)
    #expect(set.file.map(\.name) == ["order_book.proto"] && set.file.map(\.package) == ["order_book.v1"])
    let service = try #require(set.file[0].service.first)
    #expect(service.name == "OrderBook")
    #expect(service.method.map(\.inputType) == [".order_book.v1.AddRequest", ".order_book.v1.GetRequest"])
  }

  private func dependency(_ flags: String...) throws -> NewPackage.Dependency {
    let command = try #require(try Program.parseAsRoot(["new", "orders"] + flags) as? NewCommand)
    return try command.dependency(of: URL(fileURLWithPath: "/tmp/orders", isDirectory: true))
  }

  @Test("which sources the package takes is said as the manifest has it: these, a directory's, or a repository's")
  func sources() throws {
    let here = URL(fileURLWithPath: #filePath).appendingPathComponent("../../..").standardizedFileURL.path
    for dependency in [try dependency(), try dependency("--lockstep", here + "/Sources/..")] {
      #expect(dependency.sources == here && dependency.words == "\(here), as it lies on the disk")
      #expect(dependency.declaration == ".package(name: \"lockstep\", path: \"\(here)\")")
    }
    let url = "https://example.com/lockstep.git"
    let remote = try dependency("--lockstep", url, "--lockstep-version", "1.2.3")
    #expect(remote.sources == url && remote.words == "\(url), version 1.2.3 or a later one like it")
    #expect(remote.declaration == ".package(url: \"\(url)\", from: \"1.2.3\")")
    #expect(throws: CommandFailure.self) { try dependency("--lockstep", "/nowhere/at/all") }
    #expect(throws: CommandFailure.self) { try dependency("--lockstep", url) }
  }
}
