/// What changes in the sessions of a machine with its own storage, until it is stored with the data.
struct SessionChanges: Sendable {
  /// In the order in which they came.
  private var records: [SessionRecord] = []
  /// Their own records follow, once for each, however often they were used.
  private var used: Set<UInt64> = []

  mutating func recorded(_ record: Session.Record, in session: UInt64) {
    records.append(SessionTable.record(of: record, in: session))
  }

  mutating func forgotten(_ sequences: [UInt64], of session: UInt64) {
    records += sequences.map { SessionRecord(session: session, sequence: $0, bytes: nil) }
    used.insert(session)
  }

  mutating func ended(_ session: UInt64) {
    records.append(SessionRecord(session: session, sequence: 0, bytes: nil))
    used.remove(session)
  }

  mutating func touched(_ session: UInt64) { used.insert(session) }

  /// `find`: a session as it is now.
  func take(_ find: (UInt64) -> Session?) -> [SessionRecord] {
    // The order of a Set is each process's own.
    records + used.sorted().compactMap { find($0).map(SessionTable.record(of:)) }
  }
}
