import Glibc
import LockstepReflection
import Testing

extension EndToEndTests {
  @Test(
    "with --json there is an object on stdout, whatever goes wrong",
    arguments: [
      (["describe", "--endpoints", "127.0.0.1:1"], 1), (["check", "/dev/null"], 2), (["check", "/does/not/exist"], 2),
      (["call", "a/b", "{x"], 2), (["bench", "--clients", "0"], 2),
      (["up", "--dir", "/dev/null/x"], 1), (["status", "--no-such-flag"], 2),
    ] as [([String], Int32)])
  func jsonErrors(arguments: [String], code: Int32) async throws {
    let finished = try await Finished.run(arguments + ["--json"])
    #expect(finished.code == code && finished.errors.count > 10, "\(finished.code): \(finished.errors)")
    #expect(finished.lines.count == 1)
    let json = try JSONValue(parsing: finished.lines.first ?? "")
    #expect(json["ok"] == .bool(false) && (json["message"]?.string?.count ?? 0) > 10, "\(json.text())")
  }

  @Test("a result that cannot be written is no success")
  func outputFails() async throws {
    let commands = ["simulate --seeds 1 --json", "simulate --seeds 1", "--version"]
    for command in commands {
      let shell = try Program("/bin/sh", ["-c", "'\(Setup.lockstep)' \(command) > /dev/full"])
      #expect(try await shell.waitForExit() == 1, "\(command)")
    }
  }

  @Test("an argument that is no text is refused with its place, and not sent as something else")
  func argumentBytes() async throws {
    let command = "'\(Setup.lockstep)' call '\(Line.kv)Put' \"$(printf '{\"key\":\"a\\377b\"}')\""
    let shell = try Program("/bin/sh", ["-c", command])
    #expect(try await shell.waitForExit() == 2)
    #expect(shell.errors.contains("argument 3 is not valid UTF-8: byte 0xff at offset 9"), "\(shell.errors)")
  }

  @Test(.timeLimit(.minutes(2)))
  func `a wrong service, method, field or type in a call is named in one line, and nothing is sent`() async throws {
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      #expect(try await cluster.put("a", "1").isOK)
      // The third node may be behind, and an election would add an entry of its own.
      try await cluster.waitForEqualNodes()
      let before = try await cluster.terms()
      let wrong: [(method: String, request: String, name: String)] = [
        ("lockstep.kv.v1.KeyVaule/Put", "{}", "KeyVaule"),
        ("lockstep.kv.v1.KeyValue/Putt", "{}", "Putt"),
        ("Put", "{}", "Put"),
        ("", "{}", "''"),
        (Line.kv + "Put", #"{"kee":"a"}"#, "kee"),
        (Line.kv + "Put", #"{"key":17}"#, "key"),
        (Line.kv + "Put", #"{"key":"a","key":"b"}"#, "key"),
        (Line.kv + "Put", #"["a"]"#, "PutRequest"),
        (Line.kv + "Put", #"{"key":"a""#, "JSON"),
        (Line.kv + "Range", #"{"limit":-1}"#, "limit"),
        (Line.kv + "Range", #"{"limit":4294967296}"#, "limit"),
        ("lockstep.counter.v1.Counter/Add", #"{"name":"n","delta":9223372036854775808}"#, "delta"),
        (Line.kv + "Watch", "{}", "Watch"),
      ]
      for (method, request, name) in wrong {
        let finished = try await Finished.run(["call", method, request, "--endpoints", cluster.endpoints()])
        let said = finished.errors.split(separator: "\n")
        #expect(finished.code == 1 || finished.code == 2, "\(method) \(request)")
        #expect(said.count == 1 && finished.errors.contains(name) && finished.lines == [], "\(finished.errors)")
      }
      let after = try await cluster.terms()
      if after.map(\.term) == before.map(\.term) { #expect(after.map(\.last) == before.map(\.last)) }
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `lines that are no calls are answered in their place, and the calls around them are made`() async throws {
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      let wrong = [
        "nonsense", "[]", "null", "{}", #"{"method":1}"#, #"{"method":"x/y","unknown":1}"#, "\u{0}\u{1}\u{FFFD}",
        String(repeating: "[", count: 100_000), #"{"method":"\#(Line.kv)Get","timeout":"-1s"}"#,
        #"{"method":"\#(Line.kv)Get","timeout":"1e400"}"#, #"{"method":"\#(Line.kv)Get","read":"at:-1"}"#,
      ]
      var lines: [String] = []
      for (number, line) in wrong.enumerated() { lines += [line, Line.put("key-\(number)", "1")] }
      let answers = try await cluster.calls(lines)
      for place in stride(from: 0, to: answers.count, by: 2) {
        #expect(!answers[place].isOK && answers[place]["applied"] == "no", "\(lines[place].prefix(50))")
        #expect(answers[place + 1].isOK)
      }
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `the bank: a user's own service through up --binary`() async throws {
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path, binary: Setup.bank) { cluster in
      let deposit = try await cluster.call("bank.v1.Bank/Deposit", ["account": "ada", "amount": 100])
      #expect(deposit.code == 0 && deposit.result["reply"]?["balance"]?.integer == 100)
      let transfer = try await cluster.call("bank.v1.Bank/Transfer", ["from": "ada", "to": "bob", "amount": 30])
      #expect(transfer.code == 0 && transfer.result["reply"]?["toBalance"]?.integer == 30)
      let refused = try await cluster.call("bank.v1.Bank/Transfer", ["from": "ada", "to": "bob", "amount": 71])
      #expect(refused.code == 1)
      #expect(refused.result["code"] == "FAILED_PRECONDITION" && refused.result["applied"] == "yes")
      for node in 1...3 {
        for (account, balance) in [("ada", 70), ("bob", 30)] {
          let answer = try await cluster.call(
            "bank.v1.Bank/Balance", ["account": .string(account)], at: cluster.endpoint(node))
          #expect(answer.result["reply"]?["balance"]?.integer == balance)
          #expect(answer.result["node"]?.integer == node)
        }
      }
      let builtIn = try await cluster.put("a", "1")
      #expect(!builtIn.isOK && builtIn["message"]?.string?.contains("bank.v1.Bank") == true)
      try await cluster.waitForEqualNodes()
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `an idle node needs less than 60 MiB`() async throws {
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      let memory = try (1...3).map { Cluster.residentMemory(try cluster.pid(of: $0)) }
      Setup.say("resident memory of idle nodes: \(memory) KiB")
      #expect(memory.allSatisfy { $0 > 0 && $0 < 60 << 10 })
    }
  }
}
