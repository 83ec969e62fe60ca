import Glibc

/// How a process ended.
enum Termination: Equatable, Sendable, CustomStringConvertible {
  case code(Int32)
  case signal(Int32)

  /// From what waitpid reports of a process that has ended.
  init(waitStatus status: Int32) {
    let signal = status & 0x7f
    self = signal == 0 ? .code((status >> 8) & 0xff) : .signal(signal)
  }

  var description: String {
    switch self {
    case .code(let code): "exit code \(code)"
    case .signal(let signal): "signal \(signal), \(String(cString: strsignal(signal)))"
    }
  }
}

/// A process that this one started, and that holds the reading end of a pipe from here: when this process is gone, by
/// whatever way, the pipe ends, and the child can know.
struct ChildProcess {
  let id: pid_t
  /// The writing end of the child's stdin. Nothing is ever written.
  private let input: Int32

  /// Why a program was not started.
  struct StartFailure: Error, CustomStringConvertible {
    let description: String
  }

  /// Starts `program`. Its stdout and stderr go to `log`; it gets no other file of ours.
  static func start(_ program: String, arguments: [String], log: Int32) throws(StartFailure) -> ChildProcess {
    guard let (input, output) = makePipe() else { throw StartFailure(description: "no pipe: \(systemMessage(errno))") }
    defer { close(input) }
    keepOwnFiles()
    var actions = posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, log, STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, log, STDERR_FILENO)
    // A group of its own: Ctrl-C on the terminal reaches the launcher alone, which then stops the nodes in its own way.
    // Ignored and blocked signals would be inherited.
    var all = sigset_t()
    var none = sigset_t()
    sigfillset(&all)
    sigemptyset(&none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
    var strings: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for string in strings { free(string) } }
    var id: pid_t = 0
    let code = posix_spawn(&id, program, &actions, &attributes, &strings, environ)
    guard code == 0 else {
      close(output)
      throw StartFailure(description: "'\(program)' cannot be run: \(systemMessage(code))")
    }
    return ChildProcess(id: id, input: output)
  }

  /// Files that this process itself inherited, a pipe of its caller for instance, or that a library opened, are not
  /// passed on: a child would hold them open beyond the end of this process.
  private static func keepOwnFiles() {
    guard let directory = opendir("/proc/self/fd") else { return }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
      }
      if let file = Int32(name), file > STDERR_FILENO { _ = fcntl(file, F_SETFD, FD_CLOEXEC) }
    }
  }

  /// Calls `body` when the process has ended. It stays a zombie until `reap`, so that its number cannot become another
  /// process's while someone here may still send it a signal.
  func onExit(_ body: @escaping @Sendable () -> Void) {
    let id = id_t(id)
    startThread {
      var information = siginfo_t()
      while waitid(P_PID, id, &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
      body()
    }
  }

  /// How it ended; to be called once, when it has.
  func reap() -> Termination {
    close(input)
    var status: Int32 = 0
    while waitpid(id, &status, 0) < 0, errno == EINTR {}
    return Termination(waitStatus: status)
  }

  func send(_ signal: Int32) { kill(id, signal) }
}
