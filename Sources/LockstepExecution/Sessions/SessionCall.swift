package import LockstepConsensus
package import LockstepRequests

extension SessionTable {
  /// Carries a call out and answers it, as the messages of session.proto.
  package mutating func carryOut(_ call: SessionCall, at index: LogIndex, time: UInt64) -> Replies.Reply {
    var reply = SnapshotBuffer()
    do throws(CallStatus) {
      switch call {
      case .open(let patience):
        reply.append(field: 1, open(at: index, time: time, patienceMilliseconds: patience))
        reply.append(field: 2, (self[index.rawValue]?.patience ?? 0) / 1_000_000)
        reply.append(field: 3, UInt64(window))
      case .keepAlive(let session): try keep(session, at: index, time: time)
      case .close(let session): close(session)
      case .resolve(let session, let sequence):
        guard Self.sequences.contains(sequence) else {
          throw CallStatus(.invalidArgument, "sequence \(sequence): they count from 1, to 2^63 - 1")
        }
        resolve(session, sequence, at: index, time: time).append(to: &reply)
      case .invalid: throw CallStatus(.invalidArgument, "the request is no message of its method")
      }
    } catch { return .failure(error) }
    return .success(reply.take(.max) ?? [])
  }
}

extension SessionTable.Resolution {
  /// The fields of a ResolveReply.
  fileprivate func append(to reply: inout SnapshotBuffer) {
    switch self {
    case .unknown(let reason):
      reply.append(field: 1, 0)
      reply.append(field: 6, Array(reason.utf8))
    case .never: reply.append(field: 1, 2)
    case .committed(let record):
      reply.append(field: 1, 1)
      reply.append(field: 2, record.index.rawValue)
      switch record.result {
      case .reply(.success(let bytes)): reply.append(field: 4, bytes)
      case .reply(.failure(let status)):
        reply.append(field: 3, UInt64(status.code.rawValue))
        reply.append(field: 6, Array(status.message.utf8))
      case .tooLong(let bytes):
        reply.append(field: 5, 1)
        reply.append(field: 6, Array("its reply of \(bytes) bytes is not kept any more".utf8))
      case .never, .pending: break
      }
    }
  }
}

extension SnapshotBuffer {
  /// A protobuf field of a number below 16; zero is left out, as proto3 has it.
  fileprivate mutating func append(field: UInt64, _ value: UInt64) {
    guard value != 0 else { return }
    append(varint: field << 3)
    append(varint: value)
  }

  fileprivate mutating func append(field: UInt64, _ bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    append(varint: field << 3 | 2)
    append(varint: UInt64(bytes.count))
    append(bytes)
  }
}
