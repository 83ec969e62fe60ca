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

  /// A command where it waits: what may be kept in an array.
  @usableFromInline
  package struct Waiting {
    @usableFromInline package let context: ApplyContext
    @usableFromInline package let method: UnsafeRawBufferPointer
    @usableFromInline package let request: UnsafeRawBufferPointer

    package init(context: ApplyContext, method: UnsafeRawBufferPointer, request: UnsafeRawBufferPointer) {
      self.context = context
      self.method = method
      self.request = request
    }
  }

  @usableFromInline package let commands: ArraySlice<Waiting>

  /// Whoever makes one sees to it that the bytes are there as long as it is.
  @_lifetime(immortal)
  package init(_ commands: ArraySlice<Waiting>) { self.commands = commands }

  /// How many commands the batch has.
  @inlinable public var count: Int { commands.count }

  /// The command at this place, counted from 0.
  @inlinable
  public subscript(_ place: Int) -> Command {
    @_lifetime(copy self)
    get {
      let command = commands[commands.startIndex + place]
      let call = _overrideLifetime(MethodCall(method: command.method, request: command.request), copying: self)
      return Command(context: command.context, call: call)
    }
  }

  package func method(_ place: Int) -> UnsafeRawBufferPointer { commands[commands.startIndex + place].method }

  /// Some of them.
  package subscript(_ places: Range<Int>) -> CommandBatch {
    @_lifetime(copy self)
    get {
      let start = commands.startIndex
      let some = commands[start + places.lowerBound..<start + places.upperBound]
      return _overrideLifetime(CommandBatch(some), copying: self)
    }
  }
}
