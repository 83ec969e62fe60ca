import LockstepConsensus
import LockstepExecution
import LockstepWire

extension LockstepClient {
  /// Makes many calls of one command in one message, and waits for all their answers: many small commands cost much
  /// less so than each by itself. `requests` are encoded messages of `method`, "package.Service/Method".
  ///
  /// Each request is a command of its own, carried out in the order given; commands of others may come in between, and
  /// one that fails keeps no other from being carried out. The result has an answer for each request, in the same
  /// order, as `call` would have given it: the reply, or the failure with what is known of its effect. For no requests it
  /// is empty, and nothing is sent.
  ///
  /// Throws when the batch failed as a whole. With `applied: .no` it was refused, and none of it has had an effect: there
  /// is no such command, one request is none of its kind (the message names it, counted from 0), there are too many, or
  /// nobody leads or can be reached. With `applied: .unknown` the connection was lost or silent meanwhile, and each request
  /// may have been carried out or not. A batch that was refused as a whole is sent again as a call is; its requests never
  /// are, one by one.
  public func batch(
    _ method: String, _ requests: [[UInt8]], options: CallOptions = CallOptions()
  ) async throws(CallFailure) -> [Result<Reply, CallFailure>] {
    guard !requests.isEmpty else { return [] }
    return try await options.numbered(requests.count) { options async throws(CallFailure) in
      switch await perform({ .batch(method: method, requests: requests, options: options, $0) }) {
      case .batch(let reply):
        return try reply.outcomes(of: requests.count).enumerated().map { position, outcome in
          outcome.mapError { $0.of(options.sequence?.advanced(by: position)) }
        }
      case .failure(let failure): throw failure
      case .reply, .schemas, .status, .snapshot: throw Self.mixedUp
      }
    }
  }
}

extension Codec {
  func pack(batch id: UInt64, _ method: String, _ requests: [[UInt8]], _ options: CallOptions) {
    var header = BatchHeader(
      id: id, timeoutMilliseconds: max(1, options.timeout.milliseconds), ack: options.acknowledgement.number,
      voters: options.acknowledgement.voters)
    if let sequence = options.sequence { (header.session, header.firstSequence) = (sequence.session, sequence.number) }
    var method = method
    method.withUTF8 { pack(header, method: UnsafeRawBufferPointer($0), payloads: requests) }
  }
}

extension BatchReply {
  func outcomes(of count: Int) throws(CallFailure) -> [Result<Reply, CallFailure>] {
    guard code == 0 else {
      let status = CallStatus(CallStatus.Code(rawValue: UInt8(clamping: code)) ?? .unknown, message)
      throw CallFailure(status, applied: applied, node: known(node))
    }
    guard results.count == count else {
      let status = CallStatus(.internal, "node \(node) answered \(results.count) of \(count) requests")
      throw CallFailure(status, applied: .unknown, node: known(node))
    }
    return results.map(outcome)
  }

  private func outcome(_ result: BatchResult) -> Result<Reply, CallFailure> {
    if result.code == 0 {
      return .success(
        Reply(
          payload: result.payload, index: LogIndex(result.index), term: Term(result.term), node: NodeID(node),
          acknowledgement: acknowledgement(ack, evidence), holders: nodes(evidence?.holders),
          appliedBy: nodes(evidence?.appliedBy),
          token: token(of: result)))
    }
    let status = CallStatus(CallStatus.Code(rawValue: UInt8(clamping: result.code)) ?? .unknown, result.message)
    var failure = CallFailure(
      status, applied: result.applied, index: known(result.index), term: known(result.term), node: known(node))
    if result.applied == .yes { failure.missing = nodes(evidence?.missing) }
    failure.token = token(of: result)
    return .failure(failure)
  }
}
