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
}
