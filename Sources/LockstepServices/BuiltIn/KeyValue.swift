public import LockstepExecution
import SwiftProtobuf

/// The built-in service `lockstep.kv.v1.KeyValue`: an ordered map of texts.
public struct KeyValue: ReplicatedService {
  public static let schema = Schema(
    name: "lockstep.kv.v1.KeyValue", descriptorSet: PackageResources.key_value_descriptor)

  /// Sets a key's value.
  public static let put = Command<KeyValue, Lockstep_Kv_V1_PutRequest, Lockstep_Kv_V1_PutReply>("Put") {
    $0.put($1, $2)
  }.prefetching { state, requests in state.map.prefetch(requests) { $0.key } }
  /// A key's value, and the revision that it is of.
  public static let get = Query<KeyValue, Lockstep_Kv_V1_GetRequest, Lockstep_Kv_V1_GetReply>("Get") {
    $0.get($1, $2)
  }
  /// Removes a key, and says whether it was there.
  public static let delete = Command<KeyValue, Lockstep_Kv_V1_DeleteRequest, Lockstep_Kv_V1_DeleteReply>("Delete") {
    $0.delete($1, $2)
  }
  /// Sets a key's value if it is the expected one, and says what it is then.
  public static let compareAndSet = Command<
    KeyValue, Lockstep_Kv_V1_CompareAndSetRequest, Lockstep_Kv_V1_CompareAndSetReply
  >("CompareAndSet") { $0.compareAndSet($1, $2) }
  /// Keys and their values in order, so many at a time.
  public static let range = Query<KeyValue, Lockstep_Kv_V1_RangeRequest, Lockstep_Kv_V1_RangeReply>(
    "Range", isLong: true
  ) { $0.range($1, $2) }

  public static let methods = Methods<KeyValue> {
    put
    get
    delete
    compareAndSet
    range
    watch
  }

  /// One reply to Range has at most so many items, and no more than so many bytes of keys and values, unless the first
  /// item has more; the caller asks again from there.
  static let maximumItems = 10_000
  static let maximumRangeBytes = 1024 * 1024

  private var map = TextMap<Versioned>()

  public init() {}
  public init(restoring snapshot: inout SnapshotReader) throws(CallStatus) { map = try TextMap(restoring: &snapshot) }
  public func freeze() -> any Snapshot { map.freeze() }
  public var digest: UInt64 { map.digest }

  private mutating func put(
    _ request: Lockstep_Kv_V1_PutRequest, _ context: ApplyContext
  ) -> Lockstep_Kv_V1_PutReply {
    set(request.key, request.value, context)
    return .with { $0.revision = context.index.rawValue }
  }

  private func get(_ request: Lockstep_Kv_V1_GetRequest, _ context: QueryContext) -> Lockstep_Kv_V1_GetReply {
    var reply = Lockstep_Kv_V1_GetReply()
    if let known = map[request.key] {
      reply.found = true
      reply.value = known.text
      reply.revision = known.revision
    } else {
      reply.revision = context.index.rawValue
    }
    return reply
  }

  private mutating func delete(
    _ request: Lockstep_Kv_V1_DeleteRequest, _ context: ApplyContext
  ) -> Lockstep_Kv_V1_DeleteReply {
    var reply = Lockstep_Kv_V1_DeleteReply()
    let old = map.removeValue(forKey: request.key)
    reply.deleted = old != nil
    if let old { context.emit(told(request.key, nil, old.text, context)) }
    reply.revision = context.index.rawValue
    return reply
  }

  private mutating func compareAndSet(
    _ request: Lockstep_Kv_V1_CompareAndSetRequest, _ context: ApplyContext
  ) -> Lockstep_Kv_V1_CompareAndSetReply {
    var reply = Lockstep_Kv_V1_CompareAndSetReply()
    let expected = request.hasExpected ? request.expected : nil
    let current = map[request.key]?.text
    reply.swapped = Self.sameBytes(current, expected)
    if reply.swapped {
      set(request.key, request.value, context)
      reply.current = request.value
    } else if let current {
      reply.current = current
    }
    reply.revision = context.index.rawValue
    return reply
  }

  private func range(_ request: Lockstep_Kv_V1_RangeRequest, _ context: QueryContext) -> Lockstep_Kv_V1_RangeReply {
    let limit = request.limit == 0 ? Self.maximumItems : min(Int(request.limit), Self.maximumItems)
    let bounds = RangeBounds(start: request.start, end: request.end, prefix: request.prefix)
    var reply = Lockstep_Kv_V1_RangeReply()
    var bytes = 0
    map.scan(from: bounds.first) { key, value in
      guard bounds.holds(key) else { return false }
      let text = key.text
      bytes += text.utf8.count + value.text.utf8.count
      guard reply.items.count < limit, reply.items.isEmpty || bytes <= Self.maximumRangeBytes else {
        reply.more = true
        return false
      }
      reply.items.append(
        .with {
          $0.key = text
          $0.value = value.text
          $0.revision = value.revision
        })
      return true
    }
    reply.revision = context.index.rawValue
    return reply
  }

  private mutating func set(_ key: String, _ value: String, _ context: ApplyContext) {
    let old = map.updateValue(Versioned(text: value, revision: context.index.rawValue), forKey: key)
    context.emit(told(key, value, old?.text, context))
  }

  func scan(_ bounds: RangeBounds, _ body: (_ key: String, Versioned) -> Bool) {
    map.scan(from: bounds.first) { key, value in bounds.holds(key) && body(key.text, value) }
  }

  /// Swift's `==` takes different spellings of the same letters for one, by tables that change with its version.
  private static func sameBytes(_ left: String?, _ right: String?) -> Bool {
    switch (left, right) {
    case (nil, nil): true
    case (let left?, let right?): left.utf8.elementsEqual(right.utf8)
    case (nil, _), (_, nil): false
    }
  }
}

/// A value and the revision of the command that wrote it.
struct Versioned: StoredValue {
  let text: String
  let revision: UInt64

  init(text: String, revision: UInt64) {
    self.text = text
    self.revision = revision
  }

  init(decoding bytes: RawSpan) throws(CallStatus) {
    guard bytes.byteCount >= 8 else {
      throw CallStatus(.dataLoss, "a stored value has \(bytes.byteCount) bytes, must have 8 or more")
    }
    revision = try UInt64(decoding: bytes.extracting(first: 8))
    text = try String(decoding: bytes.extracting(droppingFirst: 8))
  }

  func encode(into bytes: inout [UInt8]) {
    revision.encode(into: &bytes)
    text.encode(into: &bytes)
  }

  func hash(into hasher: inout StableHasher) {
    revision.hash(into: &hasher)
    text.hash(into: &hasher)
  }
}

/// The keys that a Range asks for, from `first` up to but not including `end`.
struct RangeBounds {
  let first: TextKey
  private let end: TextKey?

  init(start: String, end: String, prefix: String) {
    let ownStart = TextKey(start)
    let ownEnd = end.isEmpty ? nil : TextKey(end)
    let prefixStart = TextKey(prefix)
    let prefixEnd = Self.key(after: prefix)
    first = ownStart < prefixStart ? prefixStart : ownStart
    if let ownEnd, let prefixEnd {
      self.end = ownEnd < prefixEnd ? ownEnd : prefixEnd
    } else {
      self.end = ownEnd ?? prefixEnd
    }
  }

  func holds(_ key: TextKey) -> Bool {
    guard let end else { return true }
    return key < end
  }

  /// The least key above all that start with the prefix: its last byte plus one, since UTF-8 has no byte 0xff.
  private static func key(after prefix: String) -> TextKey? {
    var bytes = Array(prefix.utf8)
    guard let last = bytes.popLast() else { return nil }
    bytes.append(last &+ 1)
    return bytes.withUnsafeBytes { TextKey(bytes: $0) }
  }
}
