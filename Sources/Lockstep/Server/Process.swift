import CMemory
import Foundation
import Glibc
import LockstepTransport

/// The version of this program, as it tells it to peers and people.
package enum LockstepVersion {
  package static let current = "0.2.0"

  /// What might make two nodes differ in what they compute: the build, and the services.
  static func fingerprint(serving services: [String]) -> String {
    #if arch(x86_64)
      let architecture = "x86_64"
    #elseif arch(arm64)
      let architecture = "arm64"
    #else
      let architecture = "other"
    #endif
    let names = services.sorted().joined(separator: ", ")
    // It travels in a handshake, whose length is bounded.
    let served = names.utf8.count <= 1024 ? names : "\(services.count) services"
    return "lockstep \(current) linux \(architecture), serving \(served)"
  }
}

package enum ProcessMemory {
  /// Lets malloc keep what is freed, up to 64 MiB: a busy node takes and frees buffers of megabytes all the time, and each
  /// page that went back to the system would have to be cleared and mapped again. And one thread of a node does nearly all
  /// that takes memory: an arena of its own, which malloc gives each thread but the first, grows by one page and one call
  /// of mprotect at a time. So there is one arena, and it grows by a MiB. Before the first thread is started; where it
  /// cannot be told, nothing is lost.
  package static func prepare() {
    _ = lockstep_share_arena()
    _ = lockstep_keep_freed(64 << 20, 32 << 20, 1 << 20)
  }

  /// The process's resident memory, from /proc; 0 when it cannot be read.
  static func residentBytes() -> UInt64 {
    let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return 0 }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = read(file, &buffer, buffer.count)
    guard count > 0 else { return 0 }
    let fields = buffer[..<count].split(separator: UInt8(ascii: " "))
    guard fields.count > 1, let pages = UInt64(String(decoding: fields[1], as: UTF8.self)) else { return 0 }
    return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
  }
}

/// Open files: connections must leave some to the log, or strangers could end the node.
package enum ProcessFiles {
  /// For the log, the directory, the loop and what libraries open.
  private static let reserve = 64

  /// Takes what the system allows, where it gives less to begin with.
  package static func raiseLimit() {
    var limit = rlimit()
    guard getrlimit(Self.resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = min(limit.rlim_max, 1 << 20)
    _ = setrlimit(Self.resource, &limit)
  }

  static var limit: Int {
    var limit = rlimit()
    guard getrlimit(Self.resource, &limit) == 0 else { return 1024 }
    return Int(clamping: limit.rlim_cur)
  }

  /// How many connections of clients and of peers may be open at a time with so many files: at most the usual limits.
  static func connections(files: Int = limit) -> (clients: Int, peers: Int) {
    let files = max(16, files - reserve)
    let peers = min(TransportLimits.peer.maximumConnections, files / 4)
    return (min(TransportLimits.client.maximumConnections, files - peers), peers)
  }

  private static var resource: __rlimit_resource_t { __rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)) }
}

enum ThreadSchedule {
  /// `SCHED_BATCH`, which Glibc's headers keep from Swift.
  private static let batch: Int32 = 3

  /// Makes the calling thread one that, when it wakes, does not push another off its core (`SCHED_BATCH` of sched(7)).
  /// Where the cores are shared, a frame or a sync that arrives would else interrupt whoever prepares the next, batches
  /// become small, and the cores change hands instead of working. With a core at rest it changes nothing. A policy that
  /// somebody chose for the process stays.
  static func withoutPreempting() {
    guard sched_getscheduler(0) == SCHED_OTHER else { return }
    var none = sched_param()
    _ = sched_setscheduler(0, batch, &none)
  }
}

extension ThreadSchedule {
  /// The calling thread gets what the others leave, the less the nicer it is, up to 19. Linux takes "this process" in
  /// setpriority(2) for the calling thread. There is no way back for a process without privileges.
  static func behindOthers(niceness: Int32) {
    withoutPreempting()
    if niceness > 0 { _ = setpriority(Int32(PRIO_PROCESS.rawValue), 0, niceness) }
  }
}

enum WallClock {
  /// Nanoseconds since 1970, to about a microsecond.
  static func now() -> UInt64 { UInt64(max(0, Date().timeIntervalSince1970) * 1e9) }
}
