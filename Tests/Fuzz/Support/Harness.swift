internal import CSanitizer
internal import Glibc

/// What stands between libFuzzer and a target. The process is started as
///
///     PROGRAM --list                           the names of the targets, one a line, and what they are
///     PROGRAM TARGET --seeds DIRECTORY         writes the seeds of a target
///     PROGRAM TARGET [libFuzzer's own arguments: options, directories of a corpus, files to replay]
final class Harness {
  /// Longer than this is too slow for any input that is tried: a tenth of a second, and as much again four times for
  /// what the sanitizers cost.
  private static let slowest: UInt64 = 500_000_000

  private let target: FuzzTarget
  private var executions = 0
  private var accepted = 0
  private var longest: UInt64 = 0
  private var most = 0

  private init(_ target: FuzzTarget) { self.target = target }

  nonisolated(unsafe) private static var running: Harness?

  /// Reads the command line and leaves libFuzzer its part of it.
  static func main(_ targets: [FuzzTarget]) -> Never {
    var words = CommandLine.arguments
    let program = words.removeFirst()
    if words == ["--list"] {
      for target in targets { print("\(target.name)\t\(target.about)") }
      exit(0)
    }
    guard let name = words.first, let target = targets.first(where: { $0.name == name }) else {
      say("usage: \(program) \(targets.map(\.name).joined(separator: "|")) …")
      exit(2)
    }
    words.removeFirst()
    if words.first == "--seeds", words.count == 2 {
      write(target.seeds(), to: words[1])
      exit(0)
    }
    running = Harness(target)
    atexit { Harness.running?.report() }
    Allocations.watch()
    // What comes later on the command line wins.
    let all = [program, "-max_len=\(target.maximumLength)"] + words
    var count = CInt(all.count)
    // libFuzzer keeps them to its end.
    let copies = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: all.count + 1)
    for (place, word) in all.enumerated() { copies[place] = strdup(word) }
    copies[all.count] = nil
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = copies
    exit(
      LLVMFuzzerRunDriver(&count, &arguments) { start, length in
        Harness.running?.execute(UnsafeRawBufferPointer(start: start, count: length))
        return 0
      })
  }

  private static func write(_ seeds: [[UInt8]], to directory: String) {
    for (number, seed) in seeds.enumerated() {
      let path = "\(directory)/seed-\(number)"
      guard let file = fopen(path, "w") else {
        perror(path)
        exit(1)
      }
      fwrite(seed, 1, seed.count, file)
      fclose(file)
    }
  }

  private func execute(_ bytes: UnsafeRawBufferPointer) {
    Allocations.begin()
    let start = now(CLOCK_MONOTONIC)
    let isAccepted = target.run(bytes)
    var time = now(CLOCK_MONOTONIC) - start
    let memory = Allocations.highest
    if time > Self.slowest {
      // Perhaps it was only the machine that was busy.
      let start = now(CLOCK_THREAD_CPUTIME_ID)
      _ = target.run(bytes)
      time = now(CLOCK_THREAD_CPUTIME_ID) - start
      demand(time <= Self.slowest, "\(bytes.count) bytes take \(time / 1_000_000) ms")
    }
    let allowed = target.allowance(bytes.count)
    demand(memory <= allowed, "\(bytes.count) bytes allocate \(memory), more than \(allowed)")
    executions += 1
    if isAccepted { accepted += 1 }
    longest = max(longest, time)
    most = max(most, memory)
  }

  private static func say(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    _ = Glibc.write(2, bytes, bytes.count)
  }

  private func now(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// For tools/fuzz: executions, how many were accepted, the slowest in microseconds, the largest in KiB.
  private func report() {
    Self.say("FUZZED \(target.name) \(executions) \(accepted) \(longest / 1000) \(most / 1024)")
  }
}
