internal import CLockstepWire
internal import CProtobufC

extension Codec {
  package func pack(refusal reason: String) {
    var message = Lockstep__Wire__V1__Refusal()
    lockstep__wire__v1__refusal__init(&message)
    withProtobufString(reason) {
      message.reason = $0
      pack(&message)
    }
  }

  package func unpackRefusal(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> String {
    try unpack(bytes, as: lockstep__wire__v1__refusal__descriptor_pointer(), Lockstep__Wire__V1__Refusal.self) {
      message throws(WireError) in
      // A stranger's words go into our log: short, and without control characters.
      String(
        text(message.reason).unicodeScalars.filter { $0.value >= 32 && $0.value != 127 }.prefix(500).map(Character.init)
      )
    }
  }

  func text(_ string: UnsafeMutablePointer<CChar>?) -> String { string.map { String(cString: $0) } ?? "" }

  package func pack(forward id: UInt64, call: UnsafeRawBufferPointer) {
    var message = Lockstep__Wire__V1__ForwardRequest()
    lockstep__wire__v1__forward_request__init(&message)
    message.id = id
    message.call = call.asProtobufBytes
    pack(&message)
  }

  /// `body` gets the id and the bytes of a CallRequest, borrowed.
  package func unpackForward(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> (id: UInt64, call: [UInt8]) {
    try unpack(
      bytes, as: lockstep__wire__v1__forward_request__descriptor_pointer(), Lockstep__Wire__V1__ForwardRequest.self
    ) { message throws(WireError) in (message.id, message.call.array) }
  }

  package func pack(forwardReply id: UInt64, reply: [UInt8]) {
    var message = Lockstep__Wire__V1__ForwardReply()
    lockstep__wire__v1__forward_reply__init(&message)
    message.id = id
    withProtobufBytes(reply) {
      message.reply = $0
      pack(&message)
    }
  }

  package func unpackForwardReply(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> (id: UInt64, reply: [UInt8]) {
    try unpack(
      bytes, as: lockstep__wire__v1__forward_reply__descriptor_pointer(), Lockstep__Wire__V1__ForwardReply.self
    ) { message throws(WireError) in (message.id, message.reply.array) }
  }
}
