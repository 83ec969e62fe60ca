import LockstepRequests
@testable import LockstepWire

extension FuzzTarget {
  static var client: FuzzTarget {
    messages(
      "client", about: "messages of clients and their answers",
      [
        .roundTrip(
          "client hello", [1...2, 0...UInt32.max], pack: { $0.pack(clientHello: $1) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackClientHello(bytes) }),
        .roundTrip(
          "client welcome",
          [ClientWelcome(version: 1, cluster: Samples.cluster, node: 2, leader: 3, maximumRequestBytes: .max)],
          pack: { $0.pack($1) }, unpack: { codec, bytes throws(WireError) in try codec.unpackClientWelcome(bytes) }),
        .roundTrip(
          "call", Samples.numbers.map(Call.init), pack: { $1.pack($0) },
          unpack: { codec, bytes throws(WireError) in try Call(codec, bytes) }),
        .roundTrip(
          "call reply", [Samples.reply, CallReply(id: .max)], pack: { $0.pack($1) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackReply(bytes) }),
        .roundTrip(
          "batch", Samples.numbers.map(Batch.init), pack: { $1.pack($0) },
          unpack: { codec, bytes throws(WireError) in try Batch(codec, bytes) }),
        .roundTrip(
          "batch reply", [Samples.batchReply, BatchReply(id: .max)], pack: { $0.pack($1) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackBatchReply(bytes) }),
        .roundTrip(
          "describe", Samples.numbers, pack: { $0.pack(describe: $1) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackDescribe(bytes) }),
        .roundTrip(
          "describe reply", [(id: 1, services: [(name: "a.B", descriptorSet: [1, 2, 3]), ("", [])])],
          pack: { $0.pack(describeReply: $1.id, services: $1.services) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackDescribeReply(bytes) },
          same: { left, right in
            left.id == right.id && left.services.elementsEqual(right.services) { $0 == $1 }
          }),
        .roundTrip(
          "status", Samples.numbers, pack: { $0.pack(statusRequest: $1) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackStatusRequest(bytes) }),
        .roundTrip(
          "status reply", [Samples.status, NodeReport()], pack: { $0.pack($1) },
          unpack: { codec, bytes throws(WireError) in try codec.unpackStatus(bytes) }),
      ])
  }
}

/// A call with its borrowed parts.
private struct Call: Equatable {
  let header: CallHeader
  let method: [UInt8]
  let payload: [UInt8]

  init(_ number: UInt64) {
    header = CallHeader(
      id: number, group: number, timeoutMilliseconds: number, ack: 2, read: 1, readIndex: number,
      readBoundMilliseconds: number, session: number, sequence: number)
    method = Array("lockstep.kv.v1.KeyValue/Put".utf8)
    payload = [10, 1, 97]
  }

  init(_ codec: Codec, _ bytes: UnsafeRawBufferPointer) throws(WireError) {
    var parts: (CallHeader, [UInt8], [UInt8])?
    try codec.unpackCall(bytes) { parts = ($0, [UInt8]($1), [UInt8]($2)) }
    guard let parts else { violated("a call that was read and not handed out") }
    try codec.carefullyUnpackCall(bytes) { header, method, payload in
      demand(
        parts.0 == header && parts.1.elementsEqual(method) && parts.2.elementsEqual(payload),
        "a call that is another for protobuf-c")
    }
    (header, method, payload) = parts
  }

  func pack(_ codec: Codec) {
    method.withUnsafeBytes { method in
      payload.withUnsafeBytes { codec.pack(header, method: method, payload: $0) }
    }
  }
}

/// A batch with its borrowed parts.
private struct Batch: Equatable {
  let header: BatchHeader
  let method: [UInt8]
  let payloads: [[UInt8]]

  init(_ number: UInt64) {
    header = BatchHeader(id: number, group: number, timeoutMilliseconds: number, ack: 2)
    method = Array("lockstep.kv.v1.KeyValue/Put".utf8)
    payloads = [[10, 1, 97], [], [10, 1, 98]]
  }

  init(_ codec: Codec, _ bytes: UnsafeRawBufferPointer) throws(WireError) {
    var parts: (BatchHeader, [UInt8], [[UInt8]])?
    try codec.unpackBatch(bytes) { header, method, payloads in
      var all: [[UInt8]] = []
      all.reserveCapacity(payloads.count)
      for payload in payloads { all.append([UInt8](bytes[payload])) }
      parts = (header, [UInt8](method), all)
    }
    guard let parts else { violated("a batch that was read and not handed out") }
    (header, method, payloads) = parts
  }

  func pack(_ codec: Codec) { method.withUnsafeBytes { codec.pack(header, method: $0, payloads: payloads) } }
}
