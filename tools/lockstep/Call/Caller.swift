import Lockstep
import LockstepExecution
import LockstepReflection
import Synchronization

/// Makes calls whose types are known only from the cluster itself.
final class Caller: Sendable {
  private enum Knowledge {
    case none
    case asking(Task<Result<Offer, CallFailure>, Never>)
    case known(Offer)
  }

  private let client: LockstepClient
  private let knowledge = Mutex(Knowledge.none)

  init(_ client: LockstepClient) { self.client = client }

  /// Carries the call out. Whatever is wrong with it comes out before anything is sent.
  func perform(_ call: CallRequest) async -> CallResult {
    let offer: Offer
    do throws(CallFailure) { offer = try await self.offer(timeout: call.timeout) } catch { return .failure(error) }
    let method: MethodDescriptor
    let request: [UInt8]
    do throws(ReflectionError) { method = try offer.method(named: call.method) } catch {
      return .failure(.unimplemented, error.message)
    }
    guard !method.clientStreaming, !method.serverStreaming else {
      return .failure(.unimplemented, "\(method.fullName) streams; 'lockstep call' makes calls with a single reply")
    }
    do throws(ReflectionError) { request = try method.input.encode(call.request) } catch {
      return .failure(.invalidArgument, "\(method.fullName): \(error.message)")
    }
    do throws(CallFailure) {
      let reply = try await client.call(method.fullName, request, options: call.options)
      return result(of: reply, method)
    } catch {
      return .failure(error)
    }
  }

  private func result(of reply: Reply, _ method: MethodDescriptor) -> CallResult {
    // The result of a command exists when it is committed. What the leader alone holds has none, and an empty message
    // would read like one.
    if reply.acknowledgement == .leader, reply.payload.isEmpty { return .success(reply, message: .null) }
    do throws(ReflectionError) {
      return .success(reply, message: try method.output.decode(reply.payload))
    } catch {
      let status = CallStatus(.internal, "the reply of \(method.fullName) cannot be shown: \(error.message)")
      var failure = CallFailure(
        status, applied: method.isQuery ? .no : .yes, index: reply.index, term: reply.term, node: reply.node)
      failure.token = reply.token
      return .failure(failure)
    }
  }

  /// What the cluster offers. It is asked once; when that fails, again for the next call.
  func offer(timeout: Duration) async throws(CallFailure) -> Offer {
    let asking: Task<Result<Offer, CallFailure>, Never>
    switch join(timeout) {
    case .known(let offer): return offer
    case .asking(let task): asking = task
    case .none: throw CallFailure(CallStatus(.internal, "nobody asks for the schemas"), applied: .no)
    }
    let answer = await asking.value
    knowledge.withLock { knowledge in
      guard case .asking(let current) = knowledge, current == asking else { return }
      switch answer {
      case .success(let offer): knowledge = .known(offer)
      case .failure: knowledge = .none
      }
    }
    return try answer.get()
  }

  /// What is known, or who is asking; starts to ask when nobody does.
  private func join(_ timeout: Duration) -> Knowledge {
    knowledge.withLock { knowledge in
      if case .none = knowledge {
        let client = client
        knowledge = .asking(
          Task {
            do throws(CallFailure) {
              return .success(try await Self.ask(client, timeout))
            } catch {
              return .failure(error)
            }
          })
      }
      return knowledge
    }
  }

  /// Nothing has been sent of any call by now, whatever the failure.
  private static func ask(_ client: LockstepClient, _ timeout: Duration) async throws(CallFailure) -> Offer {
    let schemas: [Schema]
    do throws(CallFailure) { schemas = try await client.schemas(timeout: timeout) } catch {
      throw CallFailure(error.status, applied: .no, node: error.node)
    }
    do throws(ReflectionError) { return try Offer(schemas) } catch {
      throw CallFailure(CallStatus(.internal, "the cluster's schemas cannot be read: \(error.message)"), applied: .no)
    }
  }
}
