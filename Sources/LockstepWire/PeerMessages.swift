internal import CLockstepWire
internal import CProtobufC

extension Codec {
  package func pack(refusal reason: String, isForDisk: Bool = false) {
    var message = Lockstep__Wire__V1__Refusal()
    lockstep__wire__v1__refusal__init(&message)
    message.is_for_disk = isForDisk ? 1 : 0
    withProtobufString(reason) {
      message.reason = $0
      pack(&message)
    }
  }

  package func unpackRefusal(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> String {
    try unpackWholeRefusal(bytes).reason
  }

  package func unpackWholeRefusal(
    _ bytes: UnsafeRawBufferPointer
  ) throws(WireError) -> (reason: String, isForDisk: Bool) {
    try unpack(bytes, as: lockstep__wire__v1__refusal__descriptor_pointer(), Lockstep__Wire__V1__Refusal.self) {
      message throws(WireError) in
      // A stranger's words go into our log: short, and without control characters.
      let letters = text(message.reason).unicodeScalars.filter { $0.value >= 32 && $0.value != 127 }.prefix(500)
      return (String(letters.map(Character.init)), message.is_for_disk != 0)
    }
  }

  func text(_ string: UnsafeMutablePointer<CChar>?) -> String { string.map { String(cString: $0) } ?? "" }
}
