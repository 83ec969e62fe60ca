/// A method, "package.Service/Method" in UTF-8, and its request. It cannot be kept: the bytes are borrowed, and valid
/// during the call that it is passed to.
public struct MethodCall: ~Escapable {
  package let methodBytes: UnsafeRawBufferPointer
  package let requestBytes: UnsafeRawBufferPointer

  /// A call of bytes that the caller lends: it lives no longer than they do.
  @_lifetime(copy method, copy request)
  public init(method: RawSpan, request: RawSpan) {
    methodBytes = method.withUnsafeBytes { $0 }
    requestBytes = request.withUnsafeBytes { $0 }
  }

  /// Whoever makes one sees to it that the bytes are there as long as it is.
  @usableFromInline
  @_lifetime(immortal)
  package init(method: UnsafeRawBufferPointer, request: UnsafeRawBufferPointer) {
    methodBytes = method
    requestBytes = request
  }

  /// "package.Service/Method" in UTF-8, borrowed.
  public var method: RawSpan {
    @_lifetime(copy self)
    get { _overrideLifetime(RawSpan(_unsafeBytes: methodBytes), copying: self) }
  }

  /// The bytes of the request, as the client sent them, borrowed.
  public var request: RawSpan {
    @_lifetime(copy self)
    get { _overrideLifetime(RawSpan(_unsafeBytes: requestBytes), copying: self) }
  }

  /// The method as a string; bytes that are not UTF-8 are replaced.
  public var methodName: String { String(decoding: methodBytes, as: UTF8.self) }
}
