import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@Suite("what another file says of how far the log was synced")
struct SyncedMarkTests {
  private static func file(_ node: Fixture) -> String {
    node.disk.paths.first { $0.hasPrefix("\(Fixture.path)/synced-") } ?? "no mark"
  }

  /// A node with three batches, the last of them noted. It was killed.
  private func killed(
    _ change: (Fixture) throws -> Void = { try $0.append(2) }
  ) throws -> (node: Fixture, older: Fixture) {
    let node = Fixture()
    try node.open()
    try node.append(2)
    try node.log?.seal()
    try node.log?.markSynced()
    try node.append(1)
    let older = node.onCopy()
    try change(node)
    try node.log?.seal()
    try node.log?.markSynced()
    node.disk.restart()
    return (node, older)
  }

  /// What a start says, which is what verify says, and changes nothing when it is refused.
  private func verdict(_ node: Fixture) throws -> StorageError? {
    var verified: StorageError?
    do throws(StorageError) {
      let inspector = try LogInspector(disk: node.disk, path: Fixture.path)
      defer { inspector.close() }
      _ = try inspector.verify()
    } catch { verified = error }
    let before = node.logFiles
    var refused: StorageError?
    do { try node.open() } catch let error as StorageError { refused = error }
    #expect(refused == verified)
    if refused != nil { #expect(node.logFiles == before) }
    return refused
  }

  @Test("a log put back beside its identity after a kill is refused, sealed or not")
  func putBack() throws {
    for isSealed in [false, true] {
      let (node, older) = try killed()
      let end = node.options.firstSegmentBytes
      if isSealed {
        try older.open()
        try older.log?.seal()
      }
      node.disk[Fixture.segment1] = older.disk[Fixture.segment1]
      let found = try verdict(node)
      guard case .damaged(Fixture.segment1, let offset, let reason) = found else { return unexpected(found) }
      #expect(offset > 0 && offset < end)
      #expect(reason.contains("record 4 belongs here") && reason.contains("synced up to record 4"), "\(reason)")
    }
  }

  /// As `cp -a copy/. directory/` does it: over the files that are there.
  private func writeOver(_ node: Fixture, with older: Fixture) {
    for path in older.disk.paths { node.disk[path] = older.disk[path] }
  }

  @Test("an older copy that is put back over all files after a kill is refused: the latest mark has stayed beside it")
  func writtenOver() throws {
    let (node, older) = try killed()
    writeOver(node, with: older)
    #expect(node.disk.paths.filter { $0.contains("/synced-") }.count == 2)
    let refused = #expect(throws: StorageError.self) { try node.open() }
    guard case .refused(_, let reason)? = refused else { return unexpected(refused) }
    #expect(reason.contains("the directory is a copy"), "\(reason)")
    // Nor does it help to say that it is the latest.
    let damaged = #expect(throws: StorageError.self) { try node.open(isMoved: true) }
    guard case .damaged(Fixture.segment1, _, let missing)? = damaged else { return unexpected(damaged) }
    #expect(missing.contains("synced up to record 4"), "\(missing)")
    let inspector = try LogInspector(disk: node.disk, path: Fixture.path)
    defer { inspector.close() }
    #expect(throws: try #require(damaged)) { try inspector.verify() }
  }

  @Test("one from which only what differs is put back, and the rest is removed, is refused as a copy")
  func onlyWhatDiffers() throws {
    let (node, older) = try killed()
    let marks = [Self.file(node), Self.file(older)]
    #expect(marks[0] != marks[1])
    node.disk.erase(marks[0])
    node.disk[Fixture.segment1] = older.disk[Fixture.segment1]
    // A new file of the same bytes.
    node.disk[marks[1]] = older.disk[marks[1]]
    let refused = #expect(throws: StorageError.self) { try node.open() }
    guard case .refused(_, let reason)? = refused else { return unexpected(refused) }
    #expect(reason.contains("the directory is a copy"), "\(reason)")
  }

  @Test("a directory that was moved at rest is taken when that is said, and its mark is its own from then on")
  func moved() throws {
    let (node, _) = try killed()
    let moved = node.onCopy(asSnapshot: false)
    #expect(throws: StorageError.self) { try moved.open() }
    try moved.open(isMoved: true)
    #expect(Self.file(moved) == Self.file(node))
    moved.disk.powerCut(.lost)
    #expect(try moved.recover() == moved.acknowledged)
  }

  @Test("the mark of a version that gave it no other name is read, and goes on as one that has")
  func former() throws {
    let (node, older) = try killed()
    let path = "\(Fixture.path)/synced"
    node.disk[path] = node.disk[Self.file(node)]
    // It said nothing of its birth.
    for place in 2048..<2112 { node.disk[path][place] = 0 }
    node.disk.erase(Self.file(node))
    #expect(try node.recover() == node.acknowledged)
    node.disk.restart()
    node.disk[Fixture.segment1] = older.disk[Fixture.segment1]
    let found = try verdict(node)
    guard case .damaged(Fixture.segment1, _, _) = found else { return unexpected(found) }
  }

  @Test("a vote that is missing in it is a reason to refuse it, as an entry is")
  func vote() throws {
    let (node, older) = try killed { try $0.append([Fixture.write(1, term: 9, vote: 2)]) }
    node.disk[Fixture.segment1] = older.disk[Fixture.segment1]
    let found = try verdict(node)
    guard case .damaged(Fixture.segment1, _, _) = found else { return unexpected(found) }
  }

  @Test("another history of the same length is refused, a longer one is not")
  func otherHistory() throws {
    let (node, _) = try killed()
    let (other, _) = try killed { try $0.append(2, size: 41) }
    let mark = node.disk[Self.file(node)]
    node.disk[Fixture.segment1] = other.disk[Fixture.segment1]
    let found = try verdict(node)
    guard case .damaged(Fixture.segment1, _, _) = found else { return unexpected(found) }
    try other.open()
    try other.append(3)
    other.disk.restart()
    #expect(try other.recover() == other.acknowledged)
    #expect(other.disk[Self.file(other)] != mark)
  }

  @Test("a kill in the middle of the next batch, and a start after it, go on behind what was noted")
  func torn() throws {
    let (node, _) = try killed()
    for _ in 0..<3 {
      try node.open()
      let start = node.options.firstSegmentBytes - (node.log?.room ?? 0)
      let before = node.onCopy()
      try node.append(2)
      var torn = node.disk[Fixture.segment1]
      for place in start + 70..<torn.count { torn[place] = 0 }
      before.disk[Fixture.segment1] = torn
      #expect(try before.recover() == before.acknowledged)
      try node.log?.markSynced()
      node.disk.restart()
    }
  }

  @Test("a power cut takes the note, or keeps it, and the node starts all the same")
  func powerCut() throws {
    for fate in [.lost, .kept, .any(Random(1)), .any(Random(2)), .any(Random(3))] as [MemoryDisk.Fate] {
      let node = Fixture()
      try node.open()
      for _ in 0..<4 {
        try node.append(2)
        try node.log?.markSynced()
      }
      node.disk.powerCut(fate)
      #expect(try node.recover() == node.acknowledged)
    }
  }

  @Test("with any bit of it changed, or cut short, the node starts all the same")
  func damage() throws {
    let (node, _) = try killed()
    let file = Self.file(node)
    let sound = node.disk[file]
    #expect(sound.count == 4096 + 64)
    for place in [0, 2048, 4096] {
      for bit in 0..<64 * 8 {
        node.disk[file] = sound
        node.disk[file][place + bit / 8] ^= 1 << UInt8(bit % 8)
        #expect(try node.recover() == node.acknowledged, "place \(place), bit \(bit)")
        node.disk.restart()
      }
    }
    for count in [0, 1, 64, 2060, 4095] {
      node.disk[file] = Array(sound[..<count])
      #expect(try node.recover() == node.acknowledged, "\(count) bytes")
      node.disk.restart()
    }
  }

  @Test("one that somebody removes while the node works is made again")
  func removed() throws {
    let node = Fixture()
    try node.open()
    for _ in 0..<3 {
      try node.append(1)
      try node.log?.markSynced()
      node.disk.erase(Self.file(node))
    }
    try node.append(1)
    try node.log?.markSynced()
    try node.append(1)
    try node.log?.markSynced()
    #expect(Self.file(node) != "no mark")
    node.disk.restart()
    #expect(try node.recover() == node.acknowledged)
  }

  @Test("it costs no sync, is due every thousand records, and a full disk does not stop the log for it")
  func cost() throws {
    let node = Fixture(segment: 1 << 20, first: 1 << 20)
    try node.open()
    let log = try #require(node.log)
    try node.append(1)
    node.disk.space = 0
    try log.markSynced()
    node.disk.space = .max
    try log.markSynced()
    try node.append(1)
    let before = node.disk.operations.count
    try log.markSynced()
    try log.markSynced()
    #expect(!node.disk.operations[before...].contains { $0.contains("sync ") })
    #expect(node.disk.operations.count - before <= 2, "a write and a new name")
    var appended = 0
    while !log.isMarkDue {
      try log.append([Fixture.write(1, term: 1)])
      appended += 1
    }
    #expect(appended == 1024)
    try log.markSynced()
    #expect(!log.isMarkDue)
  }
}
