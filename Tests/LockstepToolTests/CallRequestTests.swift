import Lockstep
import LockstepReflection
import Testing

@testable import LockstepTool

@Suite("a line of call -")
struct CallRequestTests {
  private func parse(_ line: String) throws(CallRequest.Malformed) -> CallRequest {
    try CallRequest(line: Array(line.utf8), defaults: CallOptions())
  }

  @Test("all keys")
  func allKeys() throws {
    let call = try parse(
      #"{"method":"a.B/C","request":{"x":1},"ack":"all","read":"bounded:500ms","timeout":"2s"}"#)
    #expect(call.method == "a.B/C")
    #expect(call.request == ["x": 1])
    #expect(call.acknowledgement == .all)
    #expect(call.consistency == .bounded(.milliseconds(500)))
    #expect(call.timeout == .seconds(2))
  }

  @Test("what a line does not say is as the flags say")
  func defaults() throws {
    let defaults = CallOptions(acknowledgement: .leader, consistency: .any, timeout: .seconds(7))
    let call = try CallRequest(line: Array(#"{"method":"a.B/C"}"#.utf8), defaults: defaults)
    #expect(call == CallRequest(method: "a.B/C", request: [:], defaults: defaults))
    #expect(call.acknowledgement == .leader)
  }

  @Test("a timeout may be a number of seconds")
  func numericTimeout() throws { #expect(try parse(#"{"method":"m","timeout":1.5}"#).timeout == .milliseconds(1500)) }

  @Test(
    "what is wrong is named",
    arguments: [
      ("{", "not JSON"), ("[]", "not a JSON object"), (#"{"request":{}}"#, "\"method\" is missing"),
      (#"{"method":1}"#, "\"method\" is not a string"), (#"{"method":"m","akc":"all"}"#, "unknown key \"akc\""),
      (#"{"method":"m","ack":"most"}"#, "'most'"), (#"{"method":"m","read":"at:x"}"#, "'at:x'"),
      (#"{"method":"m","timeout":"0s"}"#, "'0s'"), (#"{"method":"m","timeout":"-1s"}"#, "'-1s'"),
      (#"{"method":"m","timeout":[]}"#, "\"timeout\""), (#"{"method":"m","method":"n"}"#, "given twice"),
    ])
  func malformed(line: String, part: String) {
    let error = #expect(throws: CallRequest.Malformed.self) { try parse(line) }
    #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
  }
}
