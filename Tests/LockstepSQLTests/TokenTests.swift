import Testing

@testable import LockstepSQL

@Suite("SQL: tokens")
struct TokenTests {
  private func texts(_ sql: String) -> [String] { SQLTokens(sql).map(\.text) }

  @Test("words, strings, names in quotes, numbers, blobs, parameters")
  func kinds() {
    let sql = "SELECT 'it''s', \"a\"\"b\", `c`, [d e], 1.5e3, x'0f', ?1, :n, @v FROM t_1;"
    #expect(
      texts(sql) == [
        "select", "it's", ",", "a\"b", ",", "c", ",", "d e", ",", "1.5e3", ",", "0f", ",", "?1", ",", ":n", ",", "@v",
        "from", "t_1", ";",
      ])
    #expect(SQLTokens("'limit' \"limit\" [limit] limit").map { $0.isWord("limit") } == [false, false, false, true])
  }

  @Test("comments are no tokens, and end where SQLite says")
  func comments() {
    #expect(texts("a -- b\n c /* d ; */ e /*/ f */ g /***/ h") == ["a", "c", "e", "g", "h"])
    #expect(texts("a /* b") == ["a"])
    #expect(texts("a -- b") == ["a"])
    #expect(texts("a - b / c * d") == ["a", "-", "b", "/", "c", "*", "d"])
  }

  @Test("what has no end ends with the text", arguments: ["'abc", "\"abc", "[abc", "`abc", "x'ab"])
  func unfinished(sql: String) { #expect(texts(sql).count == 1) }
}
