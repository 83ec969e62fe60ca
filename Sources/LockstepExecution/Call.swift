/// A method, "package.Service/Method" in UTF-8, and its request. It cannot be kept: the bytes are borrowed, and valid
/// during the call that it is passed to.
public struct Call: ~Escapable {
  package let methodBytes: UnsafeRawBufferPointer
  package let requestBytes: UnsafeRawBufferPointer

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

  public var method: RawSpan {
    @_lifetime(copy self)
    get { _overrideLifetime(RawSpan(_unsafeBytes: methodBytes), copying: self) }
  }

  public var request: RawSpan {
    @_lifetime(copy self)
    get { _overrideLifetime(RawSpan(_unsafeBytes: requestBytes), copying: self) }
  }

  public var methodName: String { String(decoding: methodBytes, as: UTF8.self) }
}
