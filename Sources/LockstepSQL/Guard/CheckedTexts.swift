import Synchronization

/// Texts of statements that were found in order: most clients send the same few over and over.
final class CheckedTexts: Sendable {
  private static let maximumCount = 256
  private static let maximumBytes = 4096
  private let texts = Mutex<Set<String>>([])

  func contains(_ sql: String) -> Bool { texts.withLock { $0.contains(sql) } }

  func insert(_ statements: [Lockstep_Sql_V1_Statement]) {
    guard !statements.allSatisfy({ contains($0.sql) }) else { return }
    texts.withLock { texts in
      for statement in statements where statement.sql.utf8.count <= Self.maximumBytes {
        if texts.count >= Self.maximumCount, !texts.contains(statement.sql) { texts = [] }
        texts.insert(statement.sql)
      }
    }
  }
}
