public import LockstepConsensus

/// Consecutive committed commands, to be carried out in order. It cannot be kept: the requests are borrowed from the log's
/// own bytes, and valid during `apply`.
public struct CommandBatch: ~Escapable {
  /// One committed command of a batch, borrowed as the batch is.
  public struct Command: ~Escapable {
    /// What the command may know of the world; variable, since drawing random bits from it changes it.
    public var context: ApplyContext
    /// The method and the request.
    public let call: MethodCall

    @inlinable
    @_lifetime(copy call)
    package init(context: ApplyContext, call: MethodCall) {
      self.context = context
      self.call = call
    }
  }

  /// A command where it waits: what may be kept in an array. No context, which has a reference in it: there is one of these for
  /// each command, and to count references for each would be a twentieth of what it costs.
  @usableFromInline
  package struct Waiting {
    @usableFromInline let group: GroupID
    @usableFromInline let index: LogIndex
    @usableFromInline let term: Term
    @usableFromInline let time: UInt64
    @usableFromInline let session: UInt64?
    @usableFromInline package let method: UnsafeRawBufferPointer
    @usableFromInline package let request: UnsafeRawBufferPointer

    package init(context: ApplyContext, method: UnsafeRawBufferPointer, request: UnsafeRawBufferPointer) {
      (group, index, term) = (context.group, context.index, context.term)
      (time, session) = (context.time, context.session)
      self.method = method
      self.request = request
    }
  }

  @usableFromInline package let commands: ArraySlice<Waiting>
  /// Nil: no changes are recorded.
  @usableFromInline let recorder: ChangeRecorder?

  /// Whoever makes one sees to it that the bytes are there as long as it is.
  @_lifetime(immortal)
  package init(_ commands: ArraySlice<Waiting>, recorder: ChangeRecorder? = nil) {
    self.commands = commands
    self.recorder = recorder
  }

  /// How many commands the batch has.
  @inlinable public var count: Int { commands.count }

  /// The command at this place, counted from 0.
  @inlinable
  public subscript(_ place: Int) -> Command {
    @_lifetime(copy self)
    get {
      let command = commands[commands.startIndex + place]
      let call = _overrideLifetime(MethodCall(method: command.method, request: command.request), copying: self)
      let context = ApplyContext(
        group: command.group, index: command.index, term: command.term, time: command.time, session: command.session,
        recorder: recorder)
      return Command(context: context, call: call)
    }
  }

  package func method(_ place: Int) -> UnsafeRawBufferPointer { commands[commands.startIndex + place].method }

  /// Some of them.
  package subscript(_ places: Range<Int>) -> CommandBatch {
    @_lifetime(copy self)
    get {
      let start = commands.startIndex
      let some = commands[start + places.lowerBound..<start + places.upperBound]
      return _overrideLifetime(CommandBatch(some, recorder: recorder), copying: self)
    }
  }
}
