import Logging

/// What is logged of a state that lasts, or comes and goes: one line for a change, and the count of what was like it.
/// A value; whoever owns it says what time it is.
///
/// Lines belong to a topic and have a key in it. The key that was the topic's last is told once in `window`; another key
/// is a change, which is told, but no more than `changes` times in `window`. What was not told is counted, and the
/// count is told with the next line of its key, or with the change that ends it.
struct RepeatedLines {
  private struct Line {
    let key: String
    var text: String
    /// The beginning of the window, and how often it was told in it.
    var since: UInt64
    var told = 0
    /// What was counted since `countedSince`.
    var withheld = 0
    var countedSince: UInt64 = 0
  }

  private struct Topic {
    let name: String
    var last = ""
    /// The latest at the end; at most `maximumKeys`.
    var lines: [Line] = []
  }

  private static let maximumTopics = 256
  private static let maximumKeys = 16
  /// What ended sooner than this is not counted aloud: a start, where nobody is there yet, is no trouble.
  private static let worthALine: UInt64 = 10_000_000_000
  private let window: UInt64
  private let changes: Int
  /// The latest at the end; at most `maximumTopics`.
  private var topics: [Topic] = []

  /// `window`: in nanoseconds.
  init(window: UInt64 = 3_600_000_000_000, changes: Int = 10) {
    self.window = window
    self.changes = changes
  }

  /// Lines that are kept in mind.
  var count: Int { topics.reduce(0) { $0 + $1.lines.count } }

  /// What is to be logged now that this has happened: as a rule one line or none. `now`: in nanoseconds, monotonic.
  mutating func happened(_ topicName: String, _ key: String, _ text: String, now: UInt64) -> [String] {
    var topic = Topic(name: topicName)
    if let place = topics.firstIndex(where: { $0.name == topicName }) { topic = topics.remove(at: place) }
    if topics.count == Self.maximumTopics { topics.removeFirst() }
    defer { topics.append(topic) }

    var line = Line(key: key, text: text, since: now)
    if let place = topic.lines.firstIndex(where: { $0.key == key }) { line = topic.lines.remove(at: place) }
    if topic.lines.count == Self.maximumKeys { topic.lines.removeFirst() }
    line.text = text
    if now &- line.since >= window { (line.since, line.told) = (now, 0) }
    defer { topic.lines.append(line) }

    let isRepeated = topic.last == key
    guard line.told < (isRepeated ? 1 : changes) else {
      if line.withheld == 0 { line.countedSince = now }
      line.withheld += 1
      topic.last = key
      return []
    }
    var told: [String] = []
    if !isRepeated, let place = topic.lines.firstIndex(where: { $0.key == topic.last }),
      topic.lines[place].withheld > 0
    {
      let lasted = now &- topic.lines[place].countedSince
      let count = Self.count(&topic.lines[place], now)
      if lasted >= Self.worthALine { told.append(topic.lines[place].text + count) }
    }
    line.told += 1
    told.append(line.withheld > 0 ? text + Self.count(&line, now) : text)
    topic.last = key
    return told
  }

  private static func count(_ line: inout Line, _ now: UInt64) -> String {
    defer { line.withheld = 0 }
    let seconds = (now &- line.countedSince) / 1_000_000_000
    let time = seconds < 120 ? "\(seconds) s" : "\(seconds / 60) min"
    return " (\(line.withheld == 1 ? "once" : "\(line.withheld) times") more in the last \(time))"
  }
}

/// A logger that tells of what lasts once, for one owner on one loop.
final class RepeatingLog {
  private let logger: Logger
  private let now: () -> UInt64
  private var lines = RepeatedLines()

  init(_ logger: Logger, now: @escaping () -> UInt64) {
    self.logger = logger
    self.now = now
  }

  func log(_ level: Logger.Level, _ topic: String, _ key: String, _ text: String) {
    for line in lines.happened(topic, key, text, now: now()) { logger.log(level: level, "\(line)") }
  }
}
