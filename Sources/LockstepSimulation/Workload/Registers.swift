package import LockstepExecution
import LockstepWire

/// The simulator's own machine: sixteen registers of 64 bits, each with a content of any length beside it. A request is
/// operation, register, number, two arguments, flags, and padding.
package struct Registers: StateMachine {
  package enum Operation: UInt8, CaseIterable {
    case get
    case put
    case compareAndSet
    case add
    /// Fails on every replica.
    case fail
  }

  package struct Request {
    package var operation: Operation
    package var register: UInt8
    package var number: UInt64
    package var first: UInt64
    package var second: UInt64
    /// A put keeps its padding as the register's content.
    package var setsContent = false
    /// The answer is followed by the register's content, as it was before.
    package var wantsContent = false
    package static let bytes = 27
    /// What padding, and so contents, are made of.
    package static let filler: UInt8 = 0x5a

    package init(operation: Operation, register: UInt8, number: UInt64, first: UInt64, second: UInt64) {
      self.operation = operation
      self.register = register
      self.number = number
      self.first = first
      self.second = second
    }

    package init?(_ bytes: UnsafeRawBufferPointer) {
      guard bytes.count >= Self.bytes, let operation = Operation(rawValue: bytes[0]), bytes[1] < 16 else { return nil }
      self.operation = operation
      register = bytes[1]
      number = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
      first = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 10, as: UInt64.self))
      second = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 18, as: UInt64.self))
      setsContent = bytes[26] & 1 != 0
      wantsContent = bytes[26] & 2 != 0
    }

    package func encoded(padding: Int) -> [UInt8] {
      var bytes = [operation.rawValue, register]
      bytes.reserveCapacity(Self.bytes + padding)
      for word in [number, first, second] { withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) } }
      bytes.append((setsContent ? 1 : 0) | (wantsContent ? 2 : 0))
      bytes.append(contentsOf: repeatElement(Self.filler, count: padding))
      return bytes
    }
  }

  package private(set) var values = [UInt64](repeating: 0, count: 16)
  private var contents = [Content](repeating: Content([]), count: 16)
  private var carriedOut: UInt64 = 0

  /// With its digest, which is asked for more often than a content changes.
  private struct Content {
    let bytes: [UInt8]
    let digest: UInt64

    init(_ bytes: [UInt8]) {
      self.bytes = bytes
      digest = bytes.isEmpty ? 0 : Checksum.of(bytes, seed: UInt64(bytes.count))
    }
  }

  package init() {}

  package static func answer(_ flag: Bool, _ value: UInt64) -> [UInt8] {
    [flag ? 1 : 0] + withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  private func answer(_ request: Request, _ flag: Bool, _ value: UInt64) -> [UInt8] {
    let answer = Self.answer(flag, value)
    return request.wantsContent ? answer + contents[Int(request.register)].bytes : answer
  }

  package mutating func apply(_ batch: CommandBatch, into replies: inout Replies) {
    for place in 0..<batch.count {
      carriedOut += 1
      guard let request = Request(batch[place].call.requestBytes) else {
        replies.fail(CallStatus(.invalidArgument, "not a request"))
        continue
      }
      let register = Int(request.register)
      switch request.operation {
      case .get, .fail: replies.fail(CallStatus(.aborted, "as asked"))
      case .put:
        replies.succeed(answer(request, true, values[register]))
        values[register] = request.first
        if request.setsContent {
          contents[register] = Content([UInt8](batch[place].call.requestBytes[Request.bytes...]))
        }
      case .compareAndSet:
        let isEqual = values[register] == request.first
        if isEqual { values[register] = request.second }
        replies.succeed(answer(request, isEqual, values[register]))
      case .add:
        values[register] &+= request.first
        replies.succeed(answer(request, true, values[register]))
      }
    }
  }

  package func query(_ call: MethodCall, _ context: QueryContext) throws(CallStatus) -> [UInt8] {
    guard let request = Request(call.requestBytes) else { throw CallStatus(.invalidArgument, "not a request") }
    return answer(request, true, values[Int(request.register)])
  }

  package func validate(_ call: MethodCall) throws(CallStatus) {
    if Request(call.requestBytes) == nil { throw CallStatus(.invalidArgument, "not a request") }
  }

  package func kind(ofMethod method: RawSpan) -> MethodKind? {
    switch method.byteCount {
    case 1: .command
    case 2: .query
    default: nil
    }
  }

  package let version: UInt32 = 1

  package func freeze() -> any Snapshot {
    EncodedSnapshot(of: self) { registers, buffer in
      for word in registers.values + [registers.carriedOut] { buffer.append(varint: word) }
      for content in registers.contents {
        buffer.append(varint: UInt64(content.bytes.count))
        buffer.append(content.bytes)
      }
      return false
    }
  }

  package func restored(from snapshot: inout SnapshotReader) throws(CallStatus) -> Registers {
    var machine = Registers()
    for place in machine.values.indices { machine.values[place] = try snapshot.varint() }
    machine.carriedOut = try snapshot.varint()
    for place in machine.contents.indices { machine.contents[place] = Content(try snapshot.bytes(snapshot.varint())) }
    return machine
  }

  package var digest: UInt64 {
    var sum = carriedOut &* 0x9e37_79b9_7f4a_7c15
    for value in values { sum = (sum ^ value) &* 0x100_0000_01b3 ^ sum >> 29 }
    for content in contents { sum = (sum ^ content.digest) &* 0x100_0000_01b3 ^ sum >> 29 }
    return sum
  }

  package var schemas: [Schema] { [] }
}
