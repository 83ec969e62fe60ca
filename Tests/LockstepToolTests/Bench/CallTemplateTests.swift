import Lockstep
import LockstepRequests
import LockstepSQL
import LockstepWire
import SwiftProtobuf
import Testing

@testable import LockstepTool

@Suite("calls of a load")
struct CallTemplateTests {
  private func load(_ operation: Load.Operation, _ options: CallOptions = CallOptions(), value: Int = 30) -> Load {
    Load(
      operation: operation, clients: 1, pace: .closed(depth: 1), extent: .everyKey, valueBytes: value, keys: 1,
      options: options)
  }

  private func written(_ load: Load, id: Int, key: UInt64) throws -> (CallHeader, method: String, request: [UInt8]) {
    let template = CallTemplate(load)
    var bytes = [UInt8](repeating: 0xff, count: template.bytes.count)
    var keys = KeySequence(count: .max, isRandom: false, from: key)
    bytes.withUnsafeMutableBytes { template.write(id: id, keys: &keys, to: $0) }
    var result: (CallHeader, method: String, request: [UInt8])?
    try bytes.withUnsafeBytes { bytes in
      try Codec(maximumMessage: 1 << 20).unpackCall(bytes) { header, method, request in
        result = (header, String(decoding: method, as: UTF8.self), [UInt8](request))
      }
    }
    return try #require(result)
  }

  @Test(
    "a node reads what was patched",
    arguments: [(0, 0), (1, 7), (127, 99_999), (128, 100_000), (2_097_151, 9_999_999_999)])
  func patched(id: Int, key: UInt64) throws {
    let (header, method, request) = try written(load(.put), id: id, key: key)
    #expect(
      header.id == UInt64(id) && header.timeoutMilliseconds == 5000 && header.ack == Acknowledgement.quorum.number)
    #expect(method == "lockstep.kv.v1.KeyValue/Put")
    let digits = String(key)
    #expect(
      String(decoding: request[2..<12], as: UTF8.self) == String(repeating: "0", count: 10 - digits.count) + digits)
    #expect(request[0..<2] == [0x0a, 10] && request[12..<14] == [0x12, 30] && request.count == 44)
  }

  @Test("long values, whose length takes more bytes, move nothing", arguments: [0, 127, 128, 20_000])
  func values(size: Int) throws {
    let request = try written(load(.put, value: size), id: 3, key: 42).request
    #expect(String(decoding: request[2..<12], as: UTF8.self) == "0000000042")
    #expect(request.suffix(size).allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) })
  }

  @Test("an insert has the key that is next as a parameter, behind those that are there")
  func insert() throws {
    var load = load(.insert)
    load.firstKey = 8_000_000_123
    let (_, method, bytes) = try written(load, id: 1, key: 8_000_000_124)
    #expect(method == "lockstep.sql.v1.Sql/Execute" && load.keySequence.current == 8_000_000_124)
    let statement = try #require(try Lockstep_Sql_V1_ExecuteRequest(serializedBytes: bytes).statements.first)
    #expect(statement.sql == "INSERT INTO bench(k, v) VALUES (?, ?)")
    #expect(statement.parameters.map(\.text) == ["8000000124", "abcdefghijklmnopqrstuvwxyzabcd"])
  }

  @Test("a batch has the keys that are next, each at its place", arguments: [0, 30, 127, 200])
  func batch(value: Int) throws {
    var load = load(.put, value: value)
    load.batch = 5
    let template = CallTemplate(load)
    var keys = KeySequence(count: .max, isRandom: false, from: 99_998)
    var bytes = [UInt8](repeating: 0xff, count: template.bytes.count)
    bytes.withUnsafeMutableBytes { template.write(id: 300, keys: &keys, to: $0) }
    #expect(template.kind == .batch && keys.current == 100_003)
    try bytes.withUnsafeBytes { bytes in
      try Codec(maximumMessage: 0).unpackBatch(bytes) { header, method, payloads in
        #expect(header.id == 300 && header.timeoutMilliseconds == 5000 && header.ack == Acknowledgement.quorum.number)
        #expect(String(decoding: method, as: UTF8.self) == "lockstep.kv.v1.KeyValue/Put" && payloads.count == 5)
        for (place, range) in payloads.enumerated() {
          let payload = UnsafeRawBufferPointer(rebasing: bytes[range])
          #expect(String(decoding: payload[2..<12], as: UTF8.self) == String(1_0000_099_998 + place).dropFirst())
          #expect(payload.count == load.request.count && [UInt8](payload.suffix(value)) == load.request.suffix(value))
        }
      }
    }
  }

  @Test("in a session each call has the number that it is given", arguments: [1, 127, 128, 1 << 40, UInt64.max >> 1])
  func inSession(number: UInt64) throws {
    var load = load(.put)
    load.sessions = [7]
    for batch in [1, 3] {
      load.batch = batch
      let template = CallTemplate(load)
      var keys = KeySequence(count: .max, isRandom: false, from: 5)
      var bytes = [UInt8](repeating: 0xff, count: template.bytes.count)
      bytes.withUnsafeMutableBytes { template.write(id: 1, keys: &keys, session: number, sequence: number - 1, to: $0) }
      var found: [UInt64] = []
      try bytes.withUnsafeBytes { bytes in
        let codec = Codec(maximumMessage: 1 << 20)
        if batch == 1 {
          try codec.unpackCall(bytes) { header, _, _ in found = [header.session, header.sequence] }
        } else {
          try codec.unpackBatch(bytes) { header, _, _ in found = [header.session, header.firstSequence] }
        }
      }
      #expect(found == [number, number - 1])
    }
  }

  @Test("levels of acknowledgement", arguments: [Acknowledgement.leader, .quorum, .voters(2), .all, .applied])
  func acknowledgement(level: Acknowledgement) throws {
    let header = try written(load(.put, CallOptions(acknowledgement: level)), id: 1, key: 1).0
    #expect(header.ack == level.number && header.voters == level.voters && header.read == 0)
  }

  @Test(
    "levels of reading",
    arguments: [
      (Consistency.linearizable, UInt32(1)), (.lease, 2), (.session, 3), (.any, 6),
      (.at(17), 5), (.bounded(.milliseconds(250)), 4),
    ])
  func reading(consistency: Consistency, level: UInt32) throws {
    let (header, method, request) = try written(load(.get, CallOptions(consistency: consistency)), id: 1, key: 1)
    #expect(header.read == level && header.ack == 0)
    #expect(header.readIndex == (level == 5 ? 17 : 0))
    #expect(header.readBoundMilliseconds == (level == 4 ? 250 : 0))
    #expect(method == "lockstep.kv.v1.KeyValue/Get" && request.count == 12)
  }

  @Test("keys: each once, or at random and within their number")
  func keys() {
    var each = KeySequence(count: 3, isRandom: false)
    var seen: [UInt64] = []
    while !each.isOver {
      seen.append(each.current)
      each.advance()
    }
    #expect(seen == [0, 1, 2])
    var random = KeySequence(count: 10, isRandom: true)
    var found: Set<UInt64> = []
    for _ in 0..<1000 {
      found.insert(random.current)
      random.advance()
    }
    #expect(found == Set(0..<10))
  }
}
