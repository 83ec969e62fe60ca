import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire

/// The service that every node offers beside its own: the commands of a group, as they were carried out.
enum GroupChanges {
  static let method = Array("\(ChangeMessages.service)/Watch".utf8)

  /// Nil: a call of another method.
  static func stream(_ call: MethodCall) throws(CallStatus) -> MachineStream? {
    guard call.methodBytes.elementsEqual(method) else { return nil }
    let request: ChangeMessages.Request
    do throws(WireError) { request = try ChangeMessages.request(call.requestBytes) } catch {
      throw CallStatus(.invalidArgument, "the request is no message of '\(call.methodName)'")
    }
    let prefix = request.service.isEmpty ? [] : Array("\(request.service)/".utf8)
    return MachineStream(start: request.from.map { .from(LogIndex($0)) } ?? .now) { change in
      change.method.starts(with: prefix) ? [ChangeMessages.bytes(change.fields)] : []
    }
  }
}

extension Change {
  fileprivate var fields: ChangeMessages.Fields {
    var fields = ChangeMessages.Fields(
      index: index.rawValue, term: term.rawValue, time: time, method: method, request: request)
    switch reply {
    case .success(let reply): fields.reply = reply
    case .failure(let status):
      (fields.code, fields.message) = (UInt64(status.code.rawValue), Array(status.message.utf8))
    }
    return fields
  }
}
