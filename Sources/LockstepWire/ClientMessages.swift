internal import CLockstepWire
internal import CProtobufC
import LockstepConsensus
package import LockstepRequests

/// A call, without its method and payload, which stay in the bytes.
package struct CallHeader: Sendable, Equatable {
  package var id: UInt64
  package var group: UInt64
  /// 0: the server's own limit.
  package var timeoutMilliseconds: UInt64
  package var ack: UInt32
  /// Beside the level that is a number of voters.
  package var voters: UInt32
  package var read: UInt32
  package var readIndex: UInt64
  package var readBoundMilliseconds: UInt64
  package var session: UInt64
  package var sequence: UInt64
  /// A ReadToken, or nothing.
  package var token: [UInt8] = []

  package init(
    id: UInt64, group: UInt64 = 0, timeoutMilliseconds: UInt64 = 0, ack: UInt32 = 0, voters: UInt32 = 0,
    read: UInt32 = 0, readIndex: UInt64 = 0, readBoundMilliseconds: UInt64 = 0, session: UInt64 = 0,
    sequence: UInt64 = 0
  ) {
    self.voters = voters
    self.id = id
    self.group = group
    self.timeoutMilliseconds = timeoutMilliseconds
    self.ack = ack
    self.read = read
    self.readIndex = readIndex
    self.readBoundMilliseconds = readBoundMilliseconds
    self.session = session
    self.sequence = sequence
  }

  package init(id: UInt64, group: UInt64, options: RequestOptions) {
    self.init(
      id: id, group: group, timeoutMilliseconds: options.timeoutMilliseconds, ack: options.acknowledgement.number,
      voters: options.acknowledgement.voters, read: options.consistency.number, session: options.session,
      sequence: options.sequence)
    switch options.consistency {
    case .at(let index): readIndex = index.rawValue
    case .bounded(let bound): readBoundMilliseconds = UInt64(clamping: bound.components.seconds) &* 1000
    case .linearizable, .lease, .session, .any: break
    }
  }
}

package struct CallReply: Sendable, Equatable {
  package var id: UInt64
  /// gRPC's code; 0 is success.
  package var code: UInt32 = 0
  package var message = ""
  package var payload: [UInt8] = []
  package var index: UInt64 = 0
  package var term: UInt64 = 0
  package var node: UInt64 = 0
  package var ack: UInt32 = 0
  package var read: UInt32 = 0
  package var applied: Applied = .unknown
  package var evidence: Evidence?
  package var leader: UInt64 = 0
  /// 0: not known.
  package var ageMicroseconds: UInt64 = 0
  /// Not in the message: of what it is the history, as the client knows who has received it.
  package var history = History()

  /// Zero: not known.
  package struct History: Sendable, Equatable {
    package var group: UInt64 = 0
    package var incarnation: UInt64 = 0
    package init() {}
  }

  package struct Evidence: Sendable, Equatable {
    package var term: UInt64
    package var index: UInt64
    /// The voters on whose disks the leader knew the entry when it answered.
    package var holders: [UInt64]
    package var appliedBy: [UInt64]
    package var missing: [UInt64]
    package init(term: UInt64, index: UInt64, holders: [UInt64], appliedBy: [UInt64] = [], missing: [UInt64] = []) {
      self.term = term
      self.index = index
      self.holders = holders
      self.appliedBy = appliedBy
      self.missing = missing
    }
  }

  package init(id: UInt64) { self.id = id }
}

package struct ClientWelcome: Sendable, Equatable {
  package var version: UInt32
  package var cluster: [UInt8]
  package var node: UInt64
  package var leader: UInt64
  package var maximumRequestBytes: UInt32
  /// Of the cluster.
  package var incarnation: UInt64 = 0
  /// The one that a call means which names none.
  package var group: UInt64 = 0
  package init(version: UInt32, cluster: [UInt8], node: UInt64, leader: UInt64, maximumRequestBytes: UInt32) {
    self.version = version
    self.cluster = cluster
    self.node = node
    self.leader = leader
    self.maximumRequestBytes = maximumRequestBytes
  }
}

extension Codec {
  package func pack(clientHello versions: ClosedRange<UInt32>) {
    var message = Lockstep__Wire__V1__ClientHello()
    lockstep__wire__v1__client_hello__init(&message)
    message.minimum_version = versions.lowerBound
    message.maximum_version = versions.upperBound
    pack(&message)
  }

  package func unpackClientHello(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> ClosedRange<UInt32> {
    try unpack(
      bytes, as: lockstep__wire__v1__client_hello__descriptor_pointer(), Lockstep__Wire__V1__ClientHello.self
    ) { message throws(WireError) in
      guard message.minimum_version <= message.maximum_version else {
        throw WireError("versions \(message.minimum_version) to \(message.maximum_version)")
      }
      return message.minimum_version...message.maximum_version
    }
  }

  package func pack(_ welcome: ClientWelcome) {
    var message = Lockstep__Wire__V1__ClientWelcome()
    lockstep__wire__v1__client_welcome__init(&message)
    message.version = welcome.version
    message.node = welcome.node
    message.leader = welcome.leader
    message.maximum_request_bytes = welcome.maximumRequestBytes
    message.incarnation = welcome.incarnation
    message.group = welcome.group
    withProtobufBytes(welcome.cluster) {
      message.cluster = $0
      pack(&message)
    }
  }

  package func unpackClientWelcome(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> ClientWelcome {
    try unpack(
      bytes, as: lockstep__wire__v1__client_welcome__descriptor_pointer(), Lockstep__Wire__V1__ClientWelcome.self
    ) { message throws(WireError) in
      var welcome = ClientWelcome(
        version: message.version, cluster: message.cluster.array, node: message.node, leader: message.leader,
        maximumRequestBytes: message.maximum_request_bytes)
      welcome.incarnation = message.incarnation
      welcome.group = message.group
      return welcome
    }
  }

  package func pack(_ call: CallHeader, method: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) {
    var message = Lockstep__Wire__V1__CallRequest()
    lockstep__wire__v1__call_request__init(&message)
    message.id = call.id
    message.group = call.group
    message.method = method.asProtobufBytes
    message.payload = payload.asProtobufBytes
    message.timeout_milliseconds = call.timeoutMilliseconds
    message.ack = Lockstep__Wire__V1__AckLevel(call.ack)
    message.read = Lockstep__Wire__V1__ReadLevel(call.read)
    message.read_index = call.readIndex
    message.read_bound_milliseconds = call.readBoundMilliseconds
    message.session = call.session
    message.sequence = call.sequence
    message.ack_voters = call.voters
    withProtobufBytes(call.token) {
      message.token = $0
      pack(&message)
    }
  }

  /// `body` gets the call's method and payload, borrowed.
  package func unpackCall(
    _ bytes: UnsafeRawBufferPointer,
    _ body: (CallHeader, _ method: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) -> Void
  ) throws(WireError) {
    guard bytes.count > maximumMessage || !quicklyReadCall(bytes, body) else { return }
    try carefullyUnpackCall(bytes, body)
  }

  func carefullyUnpackCall(
    _ bytes: UnsafeRawBufferPointer,
    _ body: (CallHeader, _ method: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) -> Void
  ) throws(WireError) {
    try unpack(
      bytes, as: lockstep__wire__v1__call_request__descriptor_pointer(), Lockstep__Wire__V1__CallRequest.self
    ) { message throws(WireError) in
      var header = CallHeader(
        id: message.id, group: message.group, timeoutMilliseconds: message.timeout_milliseconds,
        ack: UInt32(bitPattern: Int32(truncatingIfNeeded: message.ack.rawValue)), voters: message.ack_voters,
        read: UInt32(bitPattern: Int32(truncatingIfNeeded: message.read.rawValue)), readIndex: message.read_index,
        readBoundMilliseconds: message.read_bound_milliseconds, session: message.session, sequence: message.sequence)
      header.token = message.token.array
      body(header, message.method.buffer, message.payload.buffer)
    }
  }

  package func pack(_ reply: CallReply) {
    let evidence = reply.evidence
    pack(
      id: reply.id, code: reply.code, message: reply.message, payload: reply.payload, index: reply.index,
      term: reply.term, node: reply.node, ack: reply.ack, read: reply.read, applied: reply.applied.number,
      leader: reply.leader, age: reply.ageMicroseconds,
      evidence: evidence.map { ($0.term, $0.index, NamedNodes($0)) })
  }

  /// A CallReply without its id.
  func pack(_ outcome: Outcome, _ evidence: Evidence) {
    var (code, message, payload): (UInt32, String, [UInt8]) = (0, "", [])
    switch outcome.answer {
    case .reply(let bytes): payload = bytes
    case .failure(let status): (code, message) = (UInt32(status.code.rawValue), status.message)
    }
    let (index, term) = (outcome.index.rawValue, outcome.term.rawValue)
    let named = NamedNodes(holders: evidence.holders, appliedBy: evidence.appliedBy, missing: evidence.missing)
    pack(
      id: 0, code: code, message: message, payload: payload, index: index, term: term, node: evidence.node.rawValue,
      ack: evidence.acknowledgement?.number ?? 0, read: evidence.consistency?.number ?? 0,
      applied: outcome.applied.number, leader: evidence.leader?.rawValue ?? 0,
      // At least one, as 0 is not known.
      age: evidence.age.map { $0 / 1000 + 1 } ?? 0,
      evidence: evidence.acknowledgement == nil ? nil : (term, index, named))
  }

  private func pack(
    id: UInt64, code: UInt32, message: String, payload: [UInt8], index: UInt64, term: UInt64, node: UInt64,
    ack: UInt32, read: UInt32, applied: UInt32, leader: UInt64, age: UInt64,
    evidence: (term: UInt64, index: UInt64, named: NamedNodes)?
  ) {
    let message = Array(message.utf8)
    let most = 18 * WireWriter.numberBytes + message.count + payload.count + 10 * (evidence?.named.count ?? 0)
    overwrite(upTo: most) { base in
      var writer = WireWriter(base)
      writer.number(1, id)
      writer.number(2, UInt64(code))
      message.withUnsafeBytes { writer.bytes(3, $0) }
      payload.withUnsafeBytes { writer.bytes(4, $0) }
      writer.number(5, index)
      writer.number(6, term)
      writer.number(7, node)
      writer.number(8, UInt64(ack))
      writer.number(9, UInt64(read))
      writer.number(10, UInt64(applied))
      if let evidence { evidence.named.write(evidence.term, evidence.index, as: 11, to: &writer) }
      writer.number(12, leader)
      writer.number(14, age)
      return writer.count
    }
  }

  /// Whether bytes that are to be passed on are a reply.
  static func check(_ bytes: UnsafeRawBufferPointer, isReplyToBatch: Bool) throws(WireError) {
    try WireScan.check(
      bytes,
      as: isReplyToBatch
        ? lockstep__wire__v1__batch_reply__descriptor_pointer() : lockstep__wire__v1__call_reply__descriptor_pointer())
  }

  package func unpackReply(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> CallReply {
    if bytes.count <= maximumMessage, let reply = quicklyReadReply(bytes) { return reply }
    return try carefullyUnpackReply(bytes)
  }

  func carefullyUnpackReply(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> CallReply {
    try unpack(
      bytes, as: lockstep__wire__v1__call_reply__descriptor_pointer(), Lockstep__Wire__V1__CallReply.self
    ) { message throws(WireError) in
      var reply = CallReply(id: message.id)
      reply.code = message.code
      reply.message = message.message.text
      reply.payload = message.payload.array
      reply.index = message.index
      reply.term = message.term
      reply.node = message.node
      reply.ack = UInt32(bitPattern: Int32(truncatingIfNeeded: message.ack.rawValue))
      reply.read = UInt32(bitPattern: Int32(truncatingIfNeeded: message.read.rawValue))
      reply.applied = Applied(number: UInt32(bitPattern: Int32(truncatingIfNeeded: message.applied.rawValue)))
      reply.leader = message.leader
      reply.ageMicroseconds = message.age_microseconds
      if let evidence = message.evidence?.pointee {
        reply.evidence = CallReply.Evidence(evidence)
      }
      return reply
    }
  }

  // MARK: Reflection

  package func pack(describe id: UInt64) {
    var message = Lockstep__Wire__V1__DescribeRequest()
    lockstep__wire__v1__describe_request__init(&message)
    message.id = id
    pack(&message)
  }

  package func unpackDescribe(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> UInt64 {
    try unpack(
      bytes, as: lockstep__wire__v1__describe_request__descriptor_pointer(), Lockstep__Wire__V1__DescribeRequest.self
    ) { message throws(WireError) in message.id }
  }

  package func pack(describeReply id: UInt64, services: [(name: String, descriptorSet: [UInt8])]) {
    let memory = PackMemory()
    var message = Lockstep__Wire__V1__DescribeReply()
    lockstep__wire__v1__describe_reply__init(&message)
    message.id = id
    message.n_services = services.count
    message.services = memory.pointers(
      services.map { service in
        var description = Lockstep__Wire__V1__ServiceDescription()
        lockstep__wire__v1__service_description__init(&description)
        description.name = memory.string(service.name)
        description.descriptor_set = memory.bytes(service.descriptorSet)
        return description
      })
    pack(&message)
    memory.free()
  }

  package func unpackDescribeReply(
    _ bytes: UnsafeRawBufferPointer
  ) throws(WireError) -> (id: UInt64, services: [(name: String, descriptorSet: [UInt8])]) {
    try unpack(
      bytes, as: lockstep__wire__v1__describe_reply__descriptor_pointer(), Lockstep__Wire__V1__DescribeReply.self
    ) { message throws(WireError) in
      let services = UnsafeBufferPointer(start: message.services, count: message.n_services).compactMap { $0?.pointee }
      return (
        message.id,
        services.map { ($0.name.map { String(cString: $0) } ?? "", $0.descriptor_set.array) }
      )
    }
  }
}

extension CallReply.Evidence {
  init(_ packed: Lockstep__Wire__V1__Evidence) {
    func list(_ start: UnsafeMutablePointer<UInt64>?, _ count: Int) -> [UInt64] {
      start.map { Array(UnsafeBufferPointer(start: $0, count: count)) } ?? []
    }
    self.init(
      term: packed.term, index: packed.index, holders: list(packed.holders, packed.n_holders),
      appliedBy: list(packed.applied_by, packed.n_applied_by), missing: list(packed.missing, packed.n_missing))
  }
}
