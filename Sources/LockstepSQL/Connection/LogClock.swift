import Glibc
internal import GRDBSQLite
import Synchronization

/// A file system for SQLite (VFS) that is the usual one but for its clock, which shows what it was set to: the time of the
/// log entry that is carried out. So 'now' and CURRENT_TIMESTAMP are the same on every replica wherever they stand, and
/// SQLite goes on to tell, by its own rules, where they may not stand at all (in an index, for one).
final class LogClock {
  /// What SQLite is given: its own structure, and the time behind it.
  private struct Layout {
    var system: sqlite3_vfs
    var milliseconds: sqlite3_int64
  }

  private static let count = Atomic<Int>(0)
  private let memory: UnsafeMutablePointer<Layout>
  private let nameMemory: UnsafeMutablePointer<CChar>
  /// As connections are opened with it: `file:PATH?vfs=NAME`.
  let name: String

  /// Nil: there is no usual one.
  init?() {
    guard let usual = sqlite3_vfs_find(nil) else { return nil }
    name = "lockstep-\(Self.count.add(1, ordering: .relaxed).newValue)"
    guard let copy = strdup(name) else { return nil }
    nameMemory = copy
    memory = .allocate(capacity: 1)
    var system = usual.pointee
    system.pNext = nil
    system.zName = UnsafePointer(copy)
    system.xCurrentTimeInt64 = { system, time in
      guard let system, let time else { return SQLITE_ERROR }
      let unix = UnsafeRawPointer(system).load(
        fromByteOffset: MemoryLayout<Layout>.offset(of: \.milliseconds) ?? 0, as: sqlite3_int64.self)
      time.pointee = unix &+ LogClock.epoch
      return SQLITE_OK
    }
    system.xCurrentTime = { system, time in
      guard let system, let time else { return SQLITE_ERROR }
      let unix = UnsafeRawPointer(system).load(
        fromByteOffset: MemoryLayout<Layout>.offset(of: \.milliseconds) ?? 0, as: sqlite3_int64.self)
      time.pointee = Double(unix &+ LogClock.epoch) / 86_400_000
      return SQLITE_OK
    }
    memory.initialize(to: Layout(system: system, milliseconds: 0))
    guard withSystem({ sqlite3_vfs_register($0, 0) }) == SQLITE_OK else { return nil }
  }

  /// No connection may use it any more.
  deinit {
    withSystem { _ = sqlite3_vfs_unregister($0) }
    memory.deallocate()
    free(nameMemory)
  }

  private func withSystem<Result>(_ body: (UnsafeMutablePointer<sqlite3_vfs>) -> Result) -> Result {
    UnsafeMutableRawPointer(memory).withMemoryRebound(to: sqlite3_vfs.self, capacity: 1, body)
  }

  /// 1970 in milliseconds of the Julian day number, as SQLite counts.
  private static let epoch: sqlite3_int64 = 210_866_760_000_000
  /// Nanoseconds since 1970, which 64 bits have until 2554; SQLite counts milliseconds, and until 9999.
  func set(_ nanoseconds: UInt64) {
    memory.pointee.milliseconds = sqlite3_int64(nanoseconds / 1_000_000)
  }
}
