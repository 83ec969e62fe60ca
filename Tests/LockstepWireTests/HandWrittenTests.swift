import CLockstepWire
import CProtobufC
import LockstepConsensus
import LockstepRequests
import Testing

@testable import LockstepWire

/// These messages are written by hand; their bytes must be those that protobuf-c writes.
@Suite("Written by hand")
struct HandWrittenTests {
  private static let numbers: [UInt64] = [0, 1, 127, 128, 300, 1 << 32, .max]

  private func packed<Message>(_ message: inout Message) -> [UInt8] {
    withUnsafeMutablePointer(to: &message) {
      $0.withMemoryRebound(to: ProtobufCMessage.self, capacity: 1) { base in
        var bytes = [UInt8](repeating: 0, count: protobuf_c_message_get_packed_size(base))
        #expect(protobuf_c_message_pack(base, &bytes) == bytes.count)
        return bytes
      }
    }
  }

  @Test("an entry", arguments: numbers, [[], [7], [UInt8](repeating: 9, count: 300)])
  func entry(number: UInt64, content: [UInt8]) {
    var block = EntryBlock(first: LogIndex(41), previousChain: 5)
    let method = Array("a.B/C".utf8)
    content.withUnsafeBytes { payload in
      method.withUnsafeBytes { method in
        block.append(
          term: Term(3), kind: .command, timestamp: number, machineVersion: UInt32(truncatingIfNeeded: number),
          session: number, sequence: number, method: method, payload: payload)
        var message = Lockstep__Wire__V1__Entry()
        lockstep__wire__v1__entry__init(&message)
        message.term = 3
        message.index = 41
        message.kind = Lockstep__Wire__V1__EntryKind(UInt32(EntryKind.command.rawValue))
        message.timestamp = number
        message.machine_version = UInt32(truncatingIfNeeded: number)
        message.session = number
        message.sequence = number
        message.method = method.asProtobufBytes
        message.payload = payload.asProtobufBytes
        message.chain = block.lastChain
        let bytes = packed(&message)
        #expect(Array(block.bytes.suffix(bytes.count)) == bytes)
      }
    }
  }

  // So many holders that the lengths of the messages in it need two bytes, and three.
  @Test(
    "a reply", arguments: numbers,
    [[], [1], [0, 3, 1 << 40], Array(0..<125), Array(0..<150), Array(repeating: .max, count: 2000)])
  func reply(number: UInt64, holders: [UInt64]) {
    let codec = Codec(maximumMessage: 1024 * 1024)
    for text in ["", "a reason", String(repeating: "x", count: 400)] {
      for hasEvidence in [false, true] {
        var reply = CallReply(id: number)
        reply.code = UInt32(truncatingIfNeeded: number)
        reply.message = text
        reply.payload = Array(text.utf8)
        (reply.index, reply.term, reply.node, reply.leader) = (number, number, number, number)
        (reply.ack, reply.read, reply.applied) = (2, 1, .yes)
        if hasEvidence { reply.evidence = CallReply.Evidence(term: number, index: number, holders: holders) }
        codec.pack(reply)
        #expect(codec.packed == expected(reply))
      }
    }
  }

  private func expected(_ reply: CallReply) -> [UInt8] {
    var message = Lockstep__Wire__V1__CallReply()
    lockstep__wire__v1__call_reply__init(&message)
    message.id = reply.id
    message.code = reply.code
    (message.index, message.term, message.node, message.leader) = (reply.index, reply.term, reply.node, reply.leader)
    message.ack = Lockstep__Wire__V1__AckLevel(reply.ack)
    message.read = Lockstep__Wire__V1__ReadLevel(reply.read)
    message.applied = Lockstep__Wire__V1__Applied(reply.applied.number)
    var evidence = Lockstep__Wire__V1__Evidence()
    lockstep__wire__v1__evidence__init(&evidence)
    var holders = reply.evidence?.holders ?? []
    return withProtobufBytes(Array(reply.message.utf8)) { text in
      withProtobufBytes(reply.payload) { payload in
        message.message = text
        message.payload = payload
        guard let said = reply.evidence else { return packed(&message) }
        (evidence.term, evidence.index) = (said.term, said.index)
        return holders.withUnsafeMutableBufferPointer { holders in
          evidence.n_holders = holders.count
          evidence.holders = holders.baseAddress
          return withUnsafeMutablePointer(to: &evidence) {
            message.evidence = $0
            return packed(&message)
          }
        }
      }
    }
  }
}
