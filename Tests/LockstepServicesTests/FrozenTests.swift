import CMemory
import LockstepConsensus
import LockstepExecution
import SwiftProtobuf
import Synchronization
import Testing

@testable import LockstepServices

@Suite("frozen states")
struct FrozenTests {
  private static func map(of count: Int) -> TextMap<String> {
    var map = TextMap<String>()
    for number in 0..<count { map["key \(number)"] = "a value that is too long to lie in the map itself \(number)" }
    return map
  }

  /// Bytes in use, all arenas together: this process does nothing else meanwhile.
  private static func used() -> Int {
    let info = mallinfo2()
    return info.uordblks + info.hblkhd
  }

  @Test("freezing takes no memory to speak of, and the first piece little more than itself, whatever the map's size")
  func constant() async {
    await #expect(processExitsWith: .success) {
      let map = Self.map(of: 200_000)
      let before = Self.used()
      precondition(before > 20_000_000, "\(before) bytes are in use: the map is not counted")
      var frozen: any Snapshot = map.freeze()
      let freezing = Self.used() - before
      precondition(freezing < 1024, "freezing took \(freezing) bytes")
      let piece = try? frozen.next(maximumBytes: 1000)
      let reading = Self.used() - before
      precondition(piece?.count == 1000 && reading < 20_000, "the first piece took \(reading) bytes")
      // Changing one key copies the few nodes on the way to it.
      var changed = map
      changed["key 7"] = "other"
      let changing = Self.used() - before
      precondition(changing < 60_000, "a change beside a frozen map took \(changing) bytes")
      withExtendedLifetime((map, changed, frozen)) {}
    }
  }

  @Test("frozen and read on other threads while the map is changed and dropped: the state as it was")
  func otherThreads() async throws {
    var map = Self.map(of: 20_000)
    let expected = map.digest
    let read = Readers()
    try await withThrowingTaskGroup(of: UInt64.self) { group in
      for _ in 0..<2 {
        let frozen = map.freeze()
        group.addTask {
          var reader = SnapshotReader(frozen, version: 1, maximumBytes: 500)
          defer { _ = read.ended.add(1, ordering: .relaxed) }
          return try TextMap<String>(restoring: &reader).digest
        }
      }
      // Until both have been read, and at least once through all keys.
      var number = 0
      while number < 20_000 || read.ended.load(ordering: .relaxed) < 2 {
        map["key \(number % 20_000)"] = number % 3 == 0 ? nil : "changed \(number)"
        number += 1
      }
      for try await digest in group { #expect(digest == expected) }
    }
    #expect(map.digest != expected)
  }

  @Test("a snapshot that is dropped half-way leaves the machine as it is, and gives back what it alone held")
  func dropped() async {
    await #expect(processExitsWith: .success) {
      var map = Self.map(of: 50_000)
      let digest = map.digest
      var frozen: (any Snapshot)? = map.freeze()
      for _ in 0..<100 { _ = try? frozen?.next(maximumBytes: 1000) }
      precondition(map.digest == digest)
      for number in 0..<50_000 { map["key \(number)"] = nil }
      let held = Self.used()
      frozen = nil
      let freed = held - Self.used()
      precondition(map.isEmpty && freed > 5_000_000, "\(freed) bytes were given back")
    }
  }

  @Test("what is written of a frozen state is let go, as are the values that were replaced meanwhile")
  func letGo() async {
    await #expect(processExitsWith: .success) {
      var map = Self.map(of: 50_000)
      var frozen: any Snapshot = map.freeze()
      let before = Self.used()
      for number in 0..<50_000 { map["key \(number)"] = "another that is too long to lie in the map itself \(number)" }
      let replaced = Self.used() - before
      var pieces = 0
      var left: [Int] = []
      while let piece = try? frozen.next(maximumBytes: 64 * 1024) {
        pieces += piece.count
        left.append(Self.used() - before)
      }
      precondition(replaced > 5_000_000 && pieces > 3_000_000, "\(replaced) bytes were replaced, \(pieces) written")
      let half = left[left.count / 2]
      precondition(half < replaced * 6 / 10, "half-way, \(half) of \(replaced) bytes are held")
      let end = left.last ?? .max
      precondition(end < replaced / 10, "at the end, \(end) of \(replaced) bytes are held")
      withExtendedLifetime((map, frozen)) {}
    }
  }

  @Test("services: however the snapshot is cut, and whatever is restored from it, it is the same")
  func cutting() throws {
    var replica = try Replica(KeyValue.self, Counter.self)
    for number in 0..<3000 {
      let put = Lockstep_Kv_V1_PutRequest.with {
        $0.key = "k\(number)"
        $0.value = String(repeating: "v", count: number % 100)
      }
      replica.apply([("lockstep.kv.v1.KeyValue/Put", try put.serializedBytes())])
    }
    let bytes = try replica.snapshot()
    #expect(bytes.count > 2 * 64 * 1024, "the state of one service lies in several pieces")
    for pieces in [1, 13, 64 * 1024, 1 << 20] {
      #expect(try replica.machine.freeze().bytes(pieces: pieces) == bytes)
      #expect(try replica.machine.digestRestored(from: bytes, pieces: pieces) == replica.digest)
    }
  }

  @Test("services: whatever is cut off or changed in a snapshot is refused with its place, or is a state")
  func hostile() throws {
    var replica = try Replica(Counter.self, KeyValue.self)
    for (number, name) in ["a", "b"].enumerated() {
      let add = Lockstep_Counter_V1_AddRequest.with {
        $0.name = name
        $0.delta = Int64(number + 1)
      }
      replica.apply([("lockstep.counter.v1.Counter/Add", try add.serializedBytes())])
    }
    let bytes = try replica.snapshot()
    for length in 0..<bytes.count {
      #expect {
        try replica.machine.digestRestored(from: Array(bytes[..<length]), pieces: 5)
      } throws: { error in
        guard let status = error as? CallStatus else { return false }
        return status.code == .dataLoss && status.message.contains("is damaged at byte")
      }
    }
    #expect { try replica.machine.digestRestored(from: bytes + [0]) } throws: { ($0 as? CallStatus)?.code == .dataLoss }
    var refused = 0
    for place in bytes.indices {
      for bit in 0..<8 {
        var changed = bytes
        changed[place] ^= 1 << UInt8(bit)
        do throws(CallStatus) {
          var reader = SnapshotReader(changed, pieces: 5)
          let taken = try replica.machine.restored(from: &reader)
          try reader.end()
          // A name or a number has become another; what is taken is a state all the same, and has these bytes.
          #expect(try taken.freeze().bytes() == changed)
        } catch {
          refused += 1
          #expect([.dataLoss, .failedPrecondition].contains(error.code), "\(error)")
        }
      }
    }
    #expect(refused > bytes.count * 4)
  }

  @Test("an announced length is not believed before the bytes are there")
  func announced() {
    let huge: [UInt8] = [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 97]
    let message = "the snapshot is damaged at byte 11: it ends, and 9223372036854775806 bytes more are announced"
    #expect(throws: CallStatus(.dataLoss, message)) { try TextMap<String>(of: huge) }
  }

  @Test("two collections of one service are joined, and read in the same order")
  func joined() throws {
    let one = Self.map(of: 100)
    var other = TextMap<Int64>()
    other["a"] = -7
    let bytes = try JoinedSnapshot(one.freeze(), other.freeze(), one.freeze()).bytes(pieces: 9)
    var reader = SnapshotReader(bytes, pieces: 10)
    #expect(try TextMap<String>(restoring: &reader).digest == one.digest)
    #expect(try TextMap<Int64>(restoring: &reader)["a"] == -7)
    #expect(try TextMap<String>(restoring: &reader).digest == one.digest)
    try reader.end()
  }

  @Test("a service reads snapshots of its earlier versions and is told which; those of later ones are refused")
  func versions() throws {
    let (old, new) = (try Replica(Aged<One>.self), try Replica(Aged<Two>.self))
    #expect(old.machine.version == 1 && new.machine.version == 2)
    var reader = SnapshotReader(try old.snapshot(), pieces: 2)
    let restored = try #require(try new.machine.restored(from: &reader) as? ServiceMachine)
    #expect(restored.state(of: Aged<Two>.self)?.restoredFrom == 1)
    #expect(
      throws: CallStatus(
        .failedPrecondition, "lockstep.counter.v1.Counter: the snapshot is of version 2, and this node runs 1")
    ) { try old.machine.digestRestored(from: new.snapshot()) }
  }
}

private final class Readers: Sendable {
  let ended = Atomic(0)
}

private protocol Number: Sendable { static var number: UInt32 { get } }
private enum One: Number { static let number: UInt32 = 1 }
private enum Two: Number { static let number: UInt32 = 2 }

/// A service that stays the same under several versions.
private struct Aged<Version: Number>: ReplicatedService {
  static var schema: Schema { Counter.schema }
  static var version: UInt32 { Version.number }
  static var methods: Methods<Self> {
    Methods<Self> {
      Command("Add", add)
      Query("Get", get)
    }
  }

  private(set) var restoredFrom: UInt32?
  init() {}
  init(restoring snapshot: inout SnapshotReader) throws(CallStatus) { restoredFrom = snapshot.version }
  func freeze() -> any Snapshot { JoinedSnapshot() }
  var digest: UInt64 { 0 }

  static func add(
    _ state: inout Self, _ request: Lockstep_Counter_V1_AddRequest, _ context: inout ApplyContext
  ) throws(CallStatus) -> Lockstep_Counter_V1_AddReply { Lockstep_Counter_V1_AddReply() }

  static func get(
    _ state: borrowing Self, _ request: Lockstep_Counter_V1_GetRequest, _ context: QueryContext
  ) throws(CallStatus) -> Lockstep_Counter_V1_GetReply { Lockstep_Counter_V1_GetReply() }
}
