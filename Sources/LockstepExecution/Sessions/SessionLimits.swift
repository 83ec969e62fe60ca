/// How much a table of sessions keeps. What is forgotten is part of a group's state, so the limits are the same for all its
/// replicas: they belong to the program, and are other ones in simulation alone, where they are to be reached.
package struct SessionLimits: Sendable, Hashable {
  /// Opening one more ends the one that was used least recently.
  package var sessions: Int
  /// What became of so many calls is kept for each session: a client has at most so many under way in it.
  package var records: Int
  /// Of all sessions together, whenever one is opened. There is room for all records of as many sessions as there may be.
  package var bytes: Int

  package init(sessions: Int = 2048, records: Int = 1024, bytes: Int = 128 << 20) {
    (self.sessions, self.records, self.bytes) = (sessions, records, bytes)
  }

  package static let usual = SessionLimits()
}
