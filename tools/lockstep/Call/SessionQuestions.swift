import Lockstep
import LockstepReflection

/// `call --open-session` and `call --resolve`.
struct SessionQuestions {
  private let command: CallCommand

  init(_ command: CallCommand) { self.command = command }

  func run() async throws {
    let client = try command.cluster.client()
    let timeout = command.defaults.timeout
    do throws(CallFailure) {
      if let call = command.resolve {
        let method = try await method(client, timeout)
        print(call, try await client.resolve(call, timeout: timeout), method)
      } else {
        let session = try await client.openSession(timeout: timeout)
        Output.line(
          command.printsEnvelope
            ? .object([.init(key: "ok", value: true), .init(key: "session", value: .init(session.id))])
            : .init(session.id))
      }
    } catch {
      if command.printsEnvelope { Output.line(CallResult.failure(error).envelope) }
      throw CommandFailure.failed(CallResult.text(error))
    }
  }

  /// That the reply is of. Before anything is asked: after it the call may never be.
  private func method(_ client: LockstepClient, _ timeout: Duration) async throws(CallFailure) -> MethodDescriptor? {
    guard let name = command.method else { return nil }
    let offer = try await Caller(client).offer(timeout: timeout)
    do throws(ReflectionError) { return try offer.method(named: name) } catch {
      throw CallFailure(CallStatus(.unimplemented, error.message), applied: .no)
    }
  }

  /// A reply whose method is not known is shown as bytes, in Base64.
  private func reply(_ bytes: [UInt8], _ method: MethodDescriptor?) -> JSONValue {
    if let method, let message = try? method.output.decode(bytes) { return message }
    return .init(bytes.withUnsafeBytes { Base64.encode($0) })
  }

  private func print(_ call: CallSequence, _ resolution: CallResolution, _ method: MethodDescriptor?) {
    var members: [JSONValue.Member] = []
    switch resolution {
    case .committed(let index, let answer):
      members = [.init(key: "outcome", value: "committed"), .init(key: "index", value: .init(index.rawValue))]
      switch answer {
      case .success(let bytes)?: members.append(.init(key: "reply", value: reply(bytes, method)))
      case .failure(let status)?:
        members.append(.init(key: "code", value: .init(status.code.name)))
        members.append(.init(key: "message", value: .init(status.message)))
      case nil: members.append(.init(key: "replyIsGone", value: true))
      }
    case .never: members = [.init(key: "outcome", value: "never")]
    case .unknown(let reason):
      members = [.init(key: "outcome", value: "unknown"), .init(key: "message", value: .init(reason))]
    }
    members.append(.init(key: "session", value: .init(call.session)))
    members.append(.init(key: "sequence", value: .init(call.number)))
    Output.line(.object(members))
  }
}
