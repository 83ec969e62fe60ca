import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepServices
import SwiftProtobuf
import Testing

@testable import Lockstep

extension Servers {
  @Suite("sessions, over real sockets")
  struct SessionTests {
    private static let add = "lockstep.counter.v1.Counter/Add"

    private func value(_ reply: Reply) throws -> Int64 {
      try Lockstep_Counter_V1_AddReply(serializedBytes: reply.payload).value
    }

    private func request(_ delta: Int64) throws -> [UInt8] {
      let message = Lockstep_Counter_V1_AddRequest.with {
        $0.name = "n"
        $0.delta = delta
      }
      return try message.serializedBytes()
    }

    @Test("a command that is sent again is carried out once, through whatever node it goes, also in a batch")
    func again() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let followers = [1, 2, 3].filter { $0 != leader }
        try await cluster.waitUntilKnown(leader, at: followers[0], followers[1])
        let client = cluster.client(followers[0])
        let session = try await client.openSession()
        let first = try await client.call(Self.add, request(5), options: CallOptions(session: session))
        let five = try value(first)
        #expect(five == 5)
        let number = CallSequence(session: session.id, number: 1)
        for id in 1...3 as ClosedRange<UInt64> {
          let again = try await cluster.client(id).call(Self.add, request(5), options: CallOptions(sequence: number))
          #expect(again.payload == first.payload && again.index > first.index)
        }
        for _ in 1...2 {
          let batch = try await client.batch(
            Self.add, [request(1), request(10)],
            options: CallOptions(sequence: CallSequence(session: session.id, number: 2)))
          var values: [Int64] = []
          for reply in batch { values.append(try value(reply.get())) }
          #expect(values == [6, 16])
        }
        let other = await #expect(throws: CallFailure.self) {
          try await client.call(Self.add, request(6), options: CallOptions(sequence: number))
        }
        #expect(other?.status.code == .invalidArgument && other?.applied == .no)
        let sum = try await client.add("n", 0)
        #expect(sum == 16)
      }
    }

    @Test("resolve: what was carried out, with its reply; what never will be; what nobody knows any more")
    func resolve() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        let session = try await client.openSession()
        let reply = try await client.call(Self.add, request(5), options: CallOptions(session: session))
        guard
          case .committed(let index, .success(let bytes)?) = try await client.resolve(
            CallSequence(session: session.id, number: 1))
        else {
          Issue.record("it was carried out")
          return
        }
        #expect(index == reply.index && bytes == reply.payload)
        let later = CallSequence(session: session.id, number: 9)
        guard case .never = try await client.resolve(later) else {
          Issue.record("nobody has sent it")
          return
        }
        let late = await #expect(throws: CallFailure.self) {
          try await client.call(Self.add, request(1), options: CallOptions(sequence: later))
        }
        #expect(late?.status.code == .aborted && late?.applied == .no && late?.sequence == later)
        try await client.keepAlive(session)
        try await client.close(session)
        guard case .unknown(let reason) = try await client.resolve(CallSequence(session: session.id, number: 1)) else {
          Issue.record("its session has ended")
          return
        }
        #expect(reason.contains("session \(session.id) is not open"), "\(reason)")
        let ended = await #expect(throws: CallFailure.self) {
          try await client.call(Self.add, request(1), options: CallOptions(session: session))
        }
        #expect(ended?.status.code == .failedPrecondition && ended?.applied == .unknown)
        let sum = try await client.add("n", 0)
        #expect(sum == 5)
      }
    }

    @Test("a command whose leader is gone before it answers is sent again by its client, and counts once")
    func leaderGone() async throws {
      try await Cluster.with(3) { cluster in
        let client = cluster.client()
        let session = try await client.openSession()
        let leader = try await cluster.waitForLeader()
        let calls = Task {
          var values: [Int64] = []
          for _ in 0..<200 {
            let options = CallOptions(session: session, timeout: .seconds(30))
            values.append(try value(try await client.call(Self.add, request(1), options: options)))
          }
          return values
        }
        try await eventually("some are answered") { try await cluster.client().add("n", 0) > 20 }
        try await cluster.stop(leader)
        let values = try await calls.value
        #expect(values == Array(1...200))
      }
    }

    @Test("more than the window under way is refused before it is sent; batches count with all their requests")
    func window() throws {
      let session = CommandSession(id: 7, last: 40, window: 4)
      let first = try session.draw(1)
      let batch = try session.draw(3)
      #expect(first.number == 41 && batch.number == 42)
      let refused = #expect(throws: CallFailure.self) { try session.draw(1) }
      #expect(refused?.status.code == .resourceExhausted && refused?.applied == .no)
      session.end(batch, 3)
      #expect(throws: CallFailure.self) { try session.draw(1) }
      session.end(first, 1)
      let next = try session.draw(4)
      #expect(next.number == 45)
      #expect(throws: CallFailure.self) { try CommandSession(id: 7, last: .max).draw(1) }
    }

    @Test("what is no call in a session is refused by name")
    func misuse() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        for (sequence, part) in [
          (CallSequence(session: 0, number: 3), "of no session"), (CallSequence(session: 5, number: 0), "count from 1"),
          (CallSequence(session: 5, number: .max), "count from 1"),
        ] {
          let failure = await #expect(throws: CallFailure.self) {
            try await client.call(Self.add, request(1), options: CallOptions(sequence: sequence))
          }
          // Of a call that may have been sent before, nobody knows by this.
          #expect(failure?.status.code == .invalidArgument && failure?.applied == .unknown)
          #expect(failure?.status.message.contains(part) == true, "\(failure?.status.message ?? "")")
        }
        let unknown = await #expect(throws: CallFailure.self) {
          try await client.call("lockstep.session.v1.Sessions/Open", [0xff], options: CallOptions())
        }
        #expect(unknown?.status.code == .invalidArgument)
        let many = await #expect(throws: CallFailure.self) {
          try await client.batch("lockstep.session.v1.Sessions/Open", [[], []])
        }
        #expect(many?.status.code == .invalidArgument && many?.status.message.contains("in no batch") == true)
        let sum = try await client.add("n", 0)
        #expect(sum == 0)
      }
    }
  }
}
