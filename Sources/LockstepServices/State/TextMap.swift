/// Values by text, in the order of the texts' UTF-8 bytes: made to be the state of a service.
///
/// - A copy costs nothing, and later changes cost each side the few nodes on the way to the changed one: so a copy is a
///   snapshot, whatever the size.
/// - Looking up and changing a key takes time in proportion to the logarithm of `count`; `count` and `digest` are at
///   hand at any time.
/// - Order, bytes of a snapshot, and digest are the same on every replica; those of `Dictionary` are not.
///
/// ```swift
/// var accounts = TextMap<Int64>()
/// accounts["alice"] = 10
/// accounts["bob"] = nil                                    // removes
/// accounts.forEach { name, balance in print(name, balance) }
/// ```
public struct TextMap<Value: StoredValue>: Sendable {
  private var root = TextMapBranch<Value>()
  /// How many keys there are.
  public private(set) var count = 0
  /// The sum of the entries' hashes, which does not depend on the order in which they came.
  private var sum: UInt64 = 0

  /// A map without keys.
  public init() {}

  /// Whether there are no keys.
  public var isEmpty: Bool { count == 0 }

  /// Equal for maps with the same entries, whatever their history; kept up to date by every change.
  public var digest: UInt64 { StableHasher.mixed(sum ^ StableHasher.mixed(UInt64(count))) }

  /// The key's value; nil where there is none, and setting nil removes the key.
  public subscript(key: String) -> Value? {
    get { root.slot(of: TextKey(key))?.value }
    set {
      if let newValue { updateValue(newValue, forKey: key) } else { removeValue(forKey: key) }
    }
  }

  /// Sets the key's value and returns the one that it had.
  @discardableResult
  public mutating func updateValue(_ value: consuming Value, forKey key: String) -> Value? {
    update(TextKey(key), value)
  }

  @discardableResult
  mutating func update(_ key: consuming TextKey, _ value: consuming Value) -> Value? {
    let hash = Self.hash(key, value)
    var slot = TextMapSlot(key: key, value: value, hash: hash)
    let (wasThere, split) = TextMapBranch.insert(&slot, into: &root)
    if let split { root = TextMapBranch(left: root, split) }
    sum &+= hash
    guard wasThere else {
      count += 1
      return nil
    }
    sum &-= slot.hash
    return slot.value
  }

  /// Removes the key and returns its value, or nil where there was none.
  @discardableResult
  public mutating func removeValue(forKey key: String) -> Value? {
    let key = TextKey(key)
    // Looked up first: removing what is not there copies no node.
    guard let old = root.slot(of: key) else { return nil }
    TextMapBranch.remove(key, from: &root)
    if let only = root.onlyBranch { root = only }
    sum &-= old.hash
    count -= 1
    return old.value
  }

  /// Calls `body` for every key in order.
  public func forEach(_ body: (_ key: String, _ value: Value) -> Void) {
    walk { key, value in
      body(key, value)
      return true
    }
  }

  /// Calls `body` for each key from `start` on, in order, until it returns false.
  public func walk(from start: String = "", _ body: (_ key: String, _ value: Value) -> Bool) {
    scan(from: TextKey(start)) { key, value in body(key.text, value) }
  }

  func scan(from start: TextKey, _ body: (TextKey, Value) -> Bool) {
    _ = root.scan(from: start, body)
  }

  /// What is here now, to be read once.
  var rest: TextMapRest<Value> { TextMapRest(root) }

  func leafAddress(of key: TextKey) -> UnsafeRawPointer { root.leafAddress(of: key) }

  private static func hash(_ key: borrowing TextKey, _ value: borrowing Value) -> UInt64 {
    var hasher = StableHasher()
    key.hash(into: &hasher)
    value.hash(into: &hasher)
    return hasher.finish()
  }

  /// Makes a map of keys that come in order, each greater than the one before it: a leaf at a time, and nothing is looked up.
  struct Builder {
    private var map = TextMap()
    private var leaf = TextMapBranch<Value>.Leaf.make()

    mutating func append(_ key: TextKey, _ value: Value) {
      if leaf.isFull { attach() }
      let hash = TextMap.hash(key, value)
      leaf.append(TextMapSlot(key: key, value: value, hash: hash))
      map.sum &+= hash
      map.count += 1
    }

    private mutating func attach() {
      if map.count <= leaf.count {
        map.root = TextMapBranch(only: leaf)
      } else if let split = TextMapBranch.append(leaf, to: &map.root) {
        map.root = TextMapBranch(left: map.root, split)
      }
      leaf = TextMapBranch<Value>.Leaf.make()
    }

    consuming func finish() -> TextMap {
      if leaf.count > 0 { attach() }
      return map
    }
  }
}
