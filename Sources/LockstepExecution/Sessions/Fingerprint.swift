internal import CXXHash

extension Executor.Entry {
  /// Of method and request (XXH3-64): it tells a call that is sent again from another one under the same sequence, by
  /// accident; it is no protection from who wants to deceive himself.
  var fingerprint: UInt64 {
    lockstep_xxh3_64(request.baseAddress, request.count, lockstep_xxh3_64(method.baseAddress, method.count, 0))
  }
}
