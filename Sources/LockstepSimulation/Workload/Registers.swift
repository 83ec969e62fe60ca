package import LockstepExecution

/// The simulator's own machine: sixteen registers of 64 bits. A request is operation, register, number, two arguments,
/// and padding.
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
    package static let bytes = 26

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
    }

    package func encoded(padding: Int) -> [UInt8] {
      var bytes = [operation.rawValue, register]
      bytes.reserveCapacity(Self.bytes + padding)
      for word in [number, first, second] { withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) } }
      bytes.append(contentsOf: repeatElement(0x5a, count: padding))
      return bytes
    }
  }

  package private(set) var values = [UInt64](repeating: 0, count: 16)
  private var carriedOut: UInt64 = 0

  package init() {}

  package static func answer(_ flag: Bool, _ value: UInt64) -> [UInt8] {
    [flag ? 1 : 0] + withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  package mutating func apply(_ batch: CommandBatch, into replies: inout Replies) {
    for place in 0..<batch.count {
      carriedOut += 1
      guard let request = Request(batch[place].call.requestBytes) else {
        replies.fail(Status(.invalidArgument, "not a request"))
        continue
      }
      let register = Int(request.register)
      switch request.operation {
      case .get, .fail: replies.fail(Status(.aborted, "as asked"))
      case .put:
        replies.succeed(Self.answer(true, values[register]))
        values[register] = request.first
      case .compareAndSet:
        let isEqual = values[register] == request.first
        if isEqual { values[register] = request.second }
        replies.succeed(Self.answer(isEqual, values[register]))
      case .add:
        values[register] &+= request.first
        replies.succeed(Self.answer(true, values[register]))
      }
    }
  }

  package func query(_ call: Call, _ context: QueryContext) throws(Status) -> [UInt8] {
    guard let request = Request(call.requestBytes) else { throw Status(.invalidArgument, "not a request") }
    return Self.answer(true, values[Int(request.register)])
  }

  package func validate(_ call: Call) throws(Status) {
    if Request(call.requestBytes) == nil { throw Status(.invalidArgument, "not a request") }
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
    EncodedSnapshot(of: values + [carriedOut]) { words, buffer in
      for word in words { buffer.append(varint: word) }
      return false
    }
  }

  package func restored(from snapshot: inout SnapshotReader) throws(Status) -> Registers {
    var machine = Registers()
    for place in machine.values.indices { machine.values[place] = try snapshot.varint() }
    machine.carriedOut = try snapshot.varint()
    return machine
  }

  package var digest: UInt64 {
    var sum = carriedOut &* 0x9e37_79b9_7f4a_7c15
    for value in values { sum = (sum ^ value) &* 0x100_0000_01b3 ^ sum >> 29 }
    return sum
  }

  package var schemas: [Schema] { [] }
}
