internal import CMemory

extension TextMap {
  /// Asks the processor for the memory that these keys and their values lie in, for all of them at once, so that to look
  /// them up or to replace their values soon is not to wait for one after the other. Changes nothing. Worth its time from
  /// a few keys on, in maps that are larger than the processor's cache.
  public func prefetch(_ keys: [String]) { prefetch(keys) { $0 } }

  /// The same for the keys of what is there, such as requests:
  /// ```swift
  /// bank.accounts.prefetch(requests) { $0.account }
  /// ```
  public func prefetch<Element>(_ elements: [Element], _ key: (borrowing Element) -> String) {
    withUnsafeTemporaryAllocation(of: Place.self, capacity: elements.count) { places in
      elements.withUnsafeBufferPointer { elements in
        for place in elements.indices {
          places.initializeElement(at: place, to: Place(key: TextKey(key(elements[place])), address: nil))
        }
      }
      // In three steps: where each thing lies stands in the memory of the one before.
      prefetchLeaves(places)
      prefetchSlots(places)
      prefetchValues(places)
      places.deinitialize()
    }
  }

  private struct Place {
    let key: TextKey
    var address: UnsafeRawPointer?
  }

  private static var line: Int { 64 }

  private func prefetchLeaves(_ places: UnsafeMutableBufferPointer<Place>) {
    for place in places.indices {
      let leaf = leafAddress(of: places[place].key)
      // As many lines as the object and its header may lie in.
      for line in 0..<3 { lockstep_prefetch(leaf + line * Self.line) }
      places[place].address = leaf
    }
  }

  private func prefetchSlots(_ places: UnsafeMutableBufferPointer<Place>) {
    for place in places.indices {
      let (key, leaf) = (places[place].key, places[place].address)
      let slot = leaf.flatMap { leaf in
        Unmanaged<TextMapLeaf<Value>>.fromOpaque(leaf)._withUnsafeGuaranteedRef { $0.likelySlot(of: key) }
      }
      places[place].address = slot.map { UnsafeRawPointer($0) }
      guard let slot else { continue }
      lockstep_prefetch(slot)
      lockstep_prefetch(UnsafeRawPointer(slot) + MemoryLayout<TextMapSlot<Value>>.stride - 1)
    }
  }

  /// What a value holds besides itself: each word of it that looks like an address may be one. If it is none, nothing has
  /// happened.
  private func prefetchValues(_ places: UnsafeMutableBufferPointer<Place>) {
    let start = MemoryLayout<TextMapSlot<Value>>.offset(of: \.value) ?? 0
    let words = min(MemoryLayout<Value>.size / MemoryLayout<UInt>.size, 4)
    for place in places {
      guard let slot = place.address else { continue }
      for word in 0..<words {
        let content = slot.loadUnaligned(fromByteOffset: start + word * MemoryLayout<UInt>.size, as: UInt.self)
        // The highest bits of a String's or an enum's address say other things.
        let address = content & (1 << 56 - 1)
        guard address >> 40 != 0 else { continue }
        lockstep_prefetch(UnsafeRawPointer(bitPattern: address))
      }
    }
  }
}
