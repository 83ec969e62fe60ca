internal import CLockstepWire
internal import CProtobufC
package import LockstepConsensus
package import LockstepRequests

/// What a node has sent of a stream.
package struct StreamItems: Sendable, Equatable {
  package var id: UInt64
  package var items: [StreamItem]
  /// See `StreamWriter.write`.
  package var next: LogIndex?
  package var node: UInt64

  package init(id: UInt64, items: [StreamItem], next: LogIndex?, node: UInt64) {
    self.id = id
    self.items = items
    self.next = next
    self.node = node
  }
}

extension Codec {
  package func pack(_ stream: StreamRequest, id: UInt64) {
    var message = Lockstep__Wire__V1__StreamRequest()
    lockstep__wire__v1__stream_request__init(&message)
    message.id = id
    message.group = stream.group.rawValue
    message.method = stream.method.asProtobufBytes
    message.payload = stream.payload.asProtobufBytes
    message.from_index = stream.from?.rawValue ?? 0
    message.credit_bytes = UInt64(max(0, stream.credit))
    pack(&message)
  }

  /// `body` gets the request, borrowed.
  package func unpackStream(
    _ bytes: UnsafeRawBufferPointer, _ body: (_ id: UInt64, StreamRequest) -> Void
  ) throws(WireError) {
    try unpack(
      bytes, as: lockstep__wire__v1__stream_request__descriptor_pointer(), Lockstep__Wire__V1__StreamRequest.self
    ) { message throws(WireError) in
      body(
        message.id,
        StreamRequest(
          group: GroupID(message.group), method: message.method.buffer, payload: message.payload.buffer,
          from: message.from_index == 0 ? nil : LogIndex(message.from_index),
          credit: Int(clamping: message.credit_bytes)))
    }
  }

  package func pack(_ items: StreamItems) {
    var most = 4 * WireWriter.numberBytes
    for item in items.items {
      most += 5 * WireWriter.numberBytes
      for payload in item.payloads { most += payload.count + WireWriter.numberBytes }
    }
    overwrite(upTo: most) { base in
      var writer = WireWriter(base)
      writer.number(1, items.id)
      for item in items.items {
        writer.delimited(2) { writer in
          writer.number(1, item.index.rawValue)
          writer.number(2, item.term.rawValue)
          writer.number(3, item.isState ? 1 : 0)
          for payload in item.payloads { writer.delimited(4) { writer in payload.withUnsafeBytes { writer.raw($0) } } }
        }
      }
      writer.number(3, items.next?.rawValue ?? 0)
      writer.number(4, items.node)
      return writer.count
    }
  }

  package func unpackStreamItems(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> StreamItems {
    try unpack(
      bytes, as: lockstep__wire__v1__stream_items__descriptor_pointer(), Lockstep__Wire__V1__StreamItems.self
    ) { message throws(WireError) in
      let items = UnsafeBufferPointer(start: message.items, count: message.n_items).compactMap { $0?.pointee }
      return StreamItems(
        id: message.id,
        items: items.map { item in
          StreamItem(
            index: LogIndex(item.index), term: Term(item.term), isState: item.is_state != 0,
            payloads: UnsafeBufferPointer(start: item.payloads, count: item.n_payloads).map(\.array))
        }, next: message.next_index == 0 ? nil : LogIndex(message.next_index), node: message.node)
    }
  }

  package func pack(streamCredit id: UInt64, bytes: Int) {
    var message = Lockstep__Wire__V1__StreamCredit()
    lockstep__wire__v1__stream_credit__init(&message)
    message.id = id
    message.bytes = UInt64(max(0, bytes))
    pack(&message)
  }

  package func unpackStreamCredit(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> (id: UInt64, bytes: Int) {
    try unpack(
      bytes, as: lockstep__wire__v1__stream_credit__descriptor_pointer(), Lockstep__Wire__V1__StreamCredit.self
    ) { message throws(WireError) in (message.id, Int(clamping: message.bytes)) }
  }

  package func pack(streamCancel id: UInt64) {
    var message = Lockstep__Wire__V1__StreamCancel()
    lockstep__wire__v1__stream_cancel__init(&message)
    message.id = id
    pack(&message)
  }

  package func unpackStreamCancel(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> UInt64 {
    try unpack(
      bytes, as: lockstep__wire__v1__stream_cancel__descriptor_pointer(), Lockstep__Wire__V1__StreamCancel.self
    ) { message throws(WireError) in message.id }
  }
}
