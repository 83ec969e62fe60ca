import LockstepExecution
import LockstepReflection
import LockstepServices
import Testing

@testable import LockstepTool

@Suite("what a cluster offers")
struct OfferTests {
  private let offer: Offer
  init() throws { offer = try Offer([KeyValue.schema, Counter.schema]) }

  @Test("a method is found by its full name")
  func method() throws {
    let method = try offer.method(named: "lockstep.kv.v1.KeyValue/Get")
    #expect(method.fullName == "lockstep.kv.v1.KeyValue/Get")
    #expect(method.isQuery)
  }

  @Test(
    "a wrong name is named, on one line",
    arguments: [
      ("Put", "'Put' names no method"), ("a/b/c", "'a/b/c' names no method"), ("/Put", "names no method"),
      ("lockstep.kv.v1.KeyValue/", "names no method"), ("KeyValue/Put", "did you mean 'lockstep.kv.v1.KeyValue'"),
      ("bank.v1.Bank/Deposit", "no service 'bank.v1.Bank'"), ("lockstep.kv.v1.KeyValue/Pot", "no method 'Pot'"),
    ])
  func wrongName(name: String, part: String) {
    let error = #expect(throws: ReflectionError.self) { try offer.method(named: name) }
    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
    #expect(error?.message.contains("\n") == false)
  }

  @Test("a symbol's text, from whichever service has it")
  func symbols() throws {
    #expect(try offer.text(of: "lockstep.counter.v1.AddRequest").contains("message AddRequest"))
    #expect(try offer.text(of: "lockstep.kv.v1.KeyValue/Put").contains("rpc Put(PutRequest) returns (PutReply)"))
    #expect(throws: ReflectionError.self) { try offer.text(of: "Nothing") }
    #expect(throws: ReflectionError.self) { try offer.text(of: "lockstep.kv.v1.KeyValue/Pot") }
  }

  @Test("all of it: every service once")
  func everything() {
    let text = offer.text()
    #expect(text.components(of: "service KeyValue {") == 1)
    #expect(text.components(of: "service Counter {") == 1)
  }

  @Test("the listing says what each method is")
  func listing() throws {
    let listing = DescribeCommand.listing(try offer.descriptors())
    let counter = listing["services"]?[0]
    #expect(counter?["name"] == "lockstep.counter.v1.Counter")
    #expect(counter?["methods"]?[0]?["method"] == "lockstep.counter.v1.Counter/Add")
    #expect(counter?["methods"]?[0]?["kind"] == "command")
    #expect(counter?["methods"]?[1]?["kind"] == "query")
  }

  @Test("bytes that are no schema are refused")
  func damaged() {
    #expect(throws: ReflectionError.self) { try Offer([Schema(name: "a.B", descriptorSet: [1, 2, 3])]) }
  }
}

extension String {
  /// How often a text occurs.
  fileprivate func components(of text: String) -> Int { ranges(of: text).count }
}
