import LockstepExecution
import LockstepServices
import Testing

@Suite("key value")
struct KeyValueTests {
  var store = KeyValueStore()

  @Test("put, get: the value and the revision of its command")
  mutating func putAndGet() throws {
    #expect(try store.put("a", "1") == 1)
    #expect(try store.put("b", "2") == 2)
    let a = try store.get("a")
    #expect(a.found && a.value == "1" && a.revision == 1)
    #expect(try store.put("a", "3") == 3)
    #expect(try store.get("a").value == "3")
    #expect(try store.get("a").revision == 3)
  }

  @Test("get: a missing key is not found, at the revision of the map")
  mutating func missing() throws {
    _ = try store.put("a", "1")
    let reply = try store.get("b")
    #expect(!reply.found && reply.value.isEmpty && reply.revision == 1)
  }

  @Test("an empty value is found, and an empty key is a key")
  mutating func empty() throws {
    _ = try store.put("", "")
    #expect(try store.get("").found)
    #expect(try store.range().items.map(\.key) == [""])
  }

  @Test("delete: tells whether the key was there")
  mutating func delete() throws {
    _ = try store.put("a", "1")
    let first = try store.delete("a")
    #expect(first.deleted && first.revision == 2)
    let second = try store.delete("a")
    #expect(!second.deleted && second.revision == 3)
    #expect(try !store.get("a").found)
  }

  @Test("compare and set without expected: only if absent")
  mutating func setIfAbsent() throws {
    let first = try store.compareAndSet("a", nil, "1")
    #expect(first.swapped && first.current == "1" && first.revision == 1)
    let second = try store.compareAndSet("a", nil, "2")
    #expect(!second.swapped && second.current == "1" && second.revision == 2)
    #expect(try store.get("a").revision == 1)
  }

  @Test("compare and set with expected: only if equal; an absent key equals nothing, not even the empty text")
  mutating func compareAndSet() throws {
    let absent = try store.compareAndSet("a", "", "1")
    #expect(!absent.swapped && !absent.hasCurrent)
    _ = try store.put("a", "1")
    #expect(try !store.compareAndSet("a", "2", "3").swapped)
    let swapped = try store.compareAndSet("a", "1", "3")
    #expect(swapped.swapped && swapped.current == "3")
    #expect(try store.get("a").value == "3")
  }

  @Test("texts are their bytes: two spellings of one letter are two keys and two values")
  mutating func bytes() throws {
    _ = try store.put("\u{e9}", "\u{e9}")
    _ = try store.put("e\u{301}", "2")
    #expect(try store.range().items.count == 2)
    #expect(try !store.compareAndSet("\u{e9}", "e\u{301}", "3").swapped)
  }

  @Test(
    "range",
    arguments: [
      ("", "", "", 0, ["a", "a/1", "a/2", "b", "b/1", "c"], false),
      ("a/1", "", "", 0, ["a/1", "a/2", "b", "b/1", "c"], false),
      ("", "b", "", 0, ["a", "a/1", "a/2"], false),
      ("a/", "b", "", 0, ["a/1", "a/2"], false),
      ("", "", "a/", 0, ["a/1", "a/2"], false),
      ("a/2", "", "a/", 0, ["a/2"], false),
      ("a", "a/2", "a/", 0, ["a/1"], false),
      ("", "", "", 2, ["a", "a/1"], true),
      ("a/1\0", "", "", 2, ["a/2", "b"], true),
      ("", "", "a/", 2, ["a/1", "a/2"], false),
      ("", "", "a/", 1, ["a/1"], true),
      ("c", "a", "", 0, [], false),
      ("", "", "z", 0, [], false),
      ("b", "", "a", 0, [], false),
    ] as [(String, String, String, UInt32, [String], Bool)])
  mutating func range(
    start: String, end: String, prefix: String, limit: UInt32, expected: [String], more: Bool
  ) throws {
    for key in ["c", "a/2", "b", "a", "b/1", "a/1"] { _ = try store.put(key, "v" + key) }
    let reply = try store.range(start: start, end: end, prefix: prefix, limit: limit)
    #expect(reply.items.map(\.key) == expected)
    #expect(reply.items.allSatisfy { $0.value == "v" + $0.key && (1...6).contains($0.revision) })
    #expect(reply.more == more)
    #expect(reply.revision == 6)
  }

  @Test("range: the service's own limits hold, and the rest can be asked for")
  mutating func rangeLimits() throws {
    let value = String(repeating: "v", count: 100_000)
    for number in 10..<40 { _ = try store.put("\(number)", value) }
    var seen: [String] = []
    var start = ""
    while true {
      let reply = try store.range(start: start)
      #expect(!reply.items.isEmpty && reply.items.count <= 12)
      seen += reply.items.map(\.key)
      guard reply.more, let last = seen.last else { break }
      start = last + "\0"
    }
    #expect(seen == (10..<40).map(String.init))
  }

  @Test("range: stops before a mebibyte is passed, but for a first item that is longer by itself")
  mutating func longItems() throws {
    for (key, length) in [("a", 600_000), ("b", 600_000), ("c", 2_000_000), ("d", 1)] {
      _ = try store.put(key, String(repeating: "x", count: length))
    }
    for (start, expected) in [("a", ["a"]), ("b", ["b"]), ("c", ["c"]), ("d", ["d"])] {
      let reply = try store.range(start: start)
      #expect(reply.items.map(\.key) == expected && reply.more == (start != "d"))
    }
  }

  @Test("digest: the same for the same entries, whatever came before")
  mutating func digest() throws {
    var other = KeyValueStore()
    _ = try store.put("x", "0")
    _ = try store.put("y", "0")
    _ = try store.delete("x")
    _ = try store.delete("y")
    _ = try store.put("a", "1")
    _ = try store.put("b", "2")
    for _ in 1...4 { _ = try other.delete("nothing") }
    _ = try other.put("a", "1")
    #expect(store.digest != other.digest)
    _ = try other.put("b", "2")
    #expect(store.digest == other.digest)
    _ = try other.put("b", "2")
    #expect(store.digest != other.digest, "a later revision is another state")
  }
}

@Suite("counter")
struct CounterTests {
  @Test("add, get: from 0, either way")
  func add() throws {
    var replica = try Replica(Counter.self)
    #expect(try replica.count("a") == 0)
    #expect(try replica.add("a", 5).value == 5)
    #expect(try replica.add("a", -7).value == -2)
    #expect(try replica.add("b", 1).revision == 3)
    #expect(try replica.count("a") == -2)
  }

  @Test(
    "overflow is OUT_OF_RANGE and changes nothing", arguments: [(Int64.max, 1), (Int64.min, -1)] as [(Int64, Int64)])
  func overflow(value: Int64, delta: Int64) throws {
    var replica = try Replica(Counter.self)
    _ = try replica.add("a", value)
    let digest = replica.digest
    #expect { try replica.add("a", delta) } throws: { ($0 as? CallStatus)?.code == .outOfRange }
    #expect(replica.digest == digest)
    #expect(try replica.count("a") == value)
  }
}

extension Replica {
  fileprivate mutating func add(_ name: String, _ delta: Int64) throws -> Lockstep_Counter_V1_AddReply {
    var request = Lockstep_Counter_V1_AddRequest()
    request.name = name
    request.delta = delta
    return try command("lockstep.counter.v1.Counter/Add", request)
  }

  fileprivate func count(_ name: String) throws -> Int64 {
    var request = Lockstep_Counter_V1_GetRequest()
    request.name = name
    return try query("lockstep.counter.v1.Counter/Get", request, Lockstep_Counter_V1_GetReply.self).value
  }
}
