import LockstepConsensus
import LockstepExecution
import LockstepServices
import SwiftProtobuf
import Testing

@Suite("service machine")
struct ServiceMachineTests {
  private static let put = "lockstep.kv.v1.KeyValue/Put"

  private static func putRequest(_ key: String, _ value: String) throws -> [UInt8] {
    try Lockstep_Kv_V1_PutRequest.with {
      $0.key = key
      $0.value = value
    }.serializedBytes()
  }

  @Test("knows commands from queries, and what is neither")
  func kinds() throws {
    let replica = try Replica(KeyValue.self, Counter.self)
    #expect(replica.kind(Self.put) == .command)
    #expect(replica.kind("lockstep.kv.v1.KeyValue/Range") == .query)
    #expect(replica.kind("lockstep.counter.v1.Counter/Get") == .query)
    for name in ["", "Put", "lockstep.kv.v1.KeyValue/put", "lockstep.kv.v1.KeyValue/Putt", "/" + Self.put] {
      #expect(replica.kind(name) == nil)
    }
  }

  @Test("validate: refuses bytes that are no request, unknown methods, and long names with part of them")
  func validate() throws {
    let replica = try Replica(KeyValue.self)
    try replica.validate(Self.put, Self.putRequest("a", "1"))
    #expect { try replica.validate(Self.put, [0xff, 0xff]) } throws: { error in
      error as? CallStatus
        == CallStatus(.invalidArgument, "\(Self.put): the request is not a lockstep.kv.v1.PutRequest")
    }
    // Field 1 is a text, and this is not UTF-8.
    #expect(throws: CallStatus.self) { try replica.validate(Self.put, [0x0a, 0x01, 0xff]) }
    #expect { try replica.validate("a.B/C", []) } throws: { error in
      error as? CallStatus == CallStatus(.unimplemented, "there is no method a.B/C")
    }
    #expect { try replica.validate(String(repeating: "x", count: 1_000_000), []) } throws: { error in
      (error as? CallStatus).map { $0.message.utf8.count < 300 } ?? false
    }
  }

  @Test("apply: what cannot be carried out is a recorded failure, in its place")
  func failures() throws {
    var replica = try Replica(KeyValue.self)
    let request = try Self.putRequest("a", "1")
    let replies = replica.apply([
      (Self.put, [0xff]), (Self.put, request), ("no.Service/Method", request), ("lockstep.kv.v1.KeyValue/Get", []),
      (Self.put, request),
    ])
    #expect(replies.map(\.code) == [.invalidArgument, .ok, .unimplemented, .invalidArgument, .ok])
  }

  @Test("query: a command is not carried out as one")
  func commandAsQuery() throws {
    let replica = try Replica(KeyValue.self)
    let digest = replica.digest
    #expect { try replica.query(Self.put, Lockstep_Kv_V1_PutRequest(), Lockstep_Kv_V1_PutReply.self) } throws: {
      ($0 as? CallStatus)?.code == .invalidArgument
    }
    #expect(replica.digest == digest)
  }

  @Test("snapshot and restore: the same state, whatever the order in which the services are listed")
  func snapshot() throws {
    var replica = try Replica(KeyValue.self, Counter.self)
    for number in 0..<1000 { replica.apply([(Self.put, try Self.putRequest("k\(number)", "v"))]) }
    let bytes = try replica.snapshot()
    let other = try Replica(Counter.self, KeyValue.self)
    #expect(try other.machine.digestRestored(from: bytes) == replica.digest)
    #expect(try replica.machine.digestRestored(from: other.snapshot()) == other.digest, "nothing of the old state")
    #expect(other.machine.schemas.map(\.name) == ["lockstep.counter.v1.Counter", "lockstep.kv.v1.KeyValue"])
  }

  @Test("a copy is a snapshot: later commands do not change it")
  func frozen() throws {
    var replica = try Replica(KeyValue.self)
    for number in 0..<500 { replica.apply([(Self.put, try Self.putRequest("k\(number)", "v"))]) }
    let frozen = replica
    let bytes = try frozen.snapshot()
    for number in 0..<500 { replica.apply([(Self.put, try Self.putRequest("k\(number)", "w"))]) }
    #expect(try frozen.snapshot() == bytes)
    #expect(try replica.snapshot() != bytes)
  }

  @Test("restore: snapshots of other services, and damaged ones, are refused")
  func wrongSnapshot() throws {
    let both = try Replica(KeyValue.self, Counter.self)
    let one = try Replica(KeyValue.self)
    #expect { try one.machine.digestRestored(from: both.snapshot()) } throws: { error in
      error as? CallStatus
        == CallStatus(
          .failedPrecondition,
          "the snapshot is of lockstep.counter.v1.Counter, lockstep.kv.v1.KeyValue, and this node hosts "
            + "lockstep.kv.v1.KeyValue")
    }
    #expect(throws: CallStatus.self) { try both.machine.digestRestored(from: one.snapshot()) }
    let bytes = try both.snapshot()
    for length in 0..<bytes.count {
      #expect(throws: CallStatus.self) { try both.machine.digestRestored(from: Array(bytes[..<length])) }
    }
    #expect(throws: CallStatus.self) { try both.machine.digestRestored(from: [9] + bytes.dropFirst()) }
  }

  @Test("two replicas that apply the same commands in other batches agree in replies, wanted or not, and digest")
  func determinism() throws {
    var random = Generator(seed: 5)
    var commands: [(method: String, request: [UInt8])] = []
    for _ in 0..<3000 {
      let key = "key\(random.below(200))"
      switch random.below(8) {
      case 0, 4, 5: commands.append((Self.put, try Self.putRequest(key, "\(random.next())")))
      case 1:
        let request = Lockstep_Kv_V1_DeleteRequest.with { $0.key = key }
        commands.append(("lockstep.kv.v1.KeyValue/Delete", try request.serializedBytes()))
      case 2: commands.append((Self.put, (0..<random.below(12)).map { _ in UInt8(truncatingIfNeeded: random.next()) }))
      case 3: commands.append((["lockstep.kv.v1.KeyValue/Get", "no.such/Method"][random.below(2)], []))
      default:
        let request = Lockstep_Counter_V1_AddRequest.with {
          $0.name = key
          $0.delta = Int64(bitPattern: random.next())
        }
        commands.append(("lockstep.counter.v1.Counter/Add", try request.serializedBytes()))
      }
    }
    var one = try Replica(KeyValue.self, Counter.self)
    var other = try Replica(Counter.self, KeyValue.self)
    one.apply(commands)
    var rest = commands[...]
    while !rest.isEmpty {
      let batch = rest.prefix(1 + random.below(40))
      other.apply(Array(batch))
      rest = rest.dropFirst(batch.count)
    }
    // As on a follower, where nobody waits.
    var silent = try Replica(KeyValue.self, Counter.self)
    silent.apply(commands, repliesAreWanted: false)
    #expect(silent.digest == one.digest)
    #expect(try silent.snapshot() == one.snapshot())
    #expect(silent.replies == one.replies.map { $0.code == .ok ? .success([]) : $0 })
    #expect(one.replies == other.replies)
    #expect(one.digest == other.digest)
    #expect(try one.snapshot() == other.snapshot())
    #expect(Set(one.replies.map(\.code)).isSuperset(of: [.ok, .invalidArgument, .outOfRange, .unimplemented]))
  }
}

extension Replies.Reply {
  var code: CallStatus.Code {
    switch self {
    case .success: .ok
    case .failure(let status): status.code
    }
  }
}
