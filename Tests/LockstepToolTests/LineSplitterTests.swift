import Testing

@testable import LockstepTool

@Suite("lines of stdin")
struct LineSplitterTests {
  /// What comes out when the text arrives in these pieces.
  private func lines(_ pieces: [String], limit: Int = 100) -> [String?] {
    var splitter = LineSplitter(limit: limit)
    var lines: [String?] = []
    let take = { (line: LineSplitter.Line) in
      switch line {
      case .text(let bytes): lines.append(String(decoding: bytes, as: UTF8.self))
      case .tooLong: lines.append(nil)
      }
    }
    for piece in pieces { Array(piece.utf8).withUnsafeBytes { splitter.append($0, take) } }
    splitter.finish(take)
    return lines
  }

  @Test("a line is the same however it is cut into pieces", arguments: 1...12)
  func pieces(size: Int) {
    let text = Array("{\"a\":1}\n\nb\nlast")
    let pieces = stride(from: 0, to: text.count, by: size).map { String(text[$0..<min($0 + size, text.count)]) }
    #expect(lines(pieces) == ["{\"a\":1}", "", "b", "last"])
  }

  @Test("no input is no line")
  func nothing() { #expect(lines([]) == []) }

  @Test("a newline at the end begins no further line")
  func newlineAtEnd() { #expect(lines(["a\n"]) == ["a"]) }

  @Test("a line that is too long is dropped, and the next one is read")
  func tooLong() {
    #expect(lines(["12345", "678\nok\n"], limit: 6) == [nil, "ok"])
    #expect(lines(["1234567"], limit: 6) == [nil])
    #expect(lines(["123456\n"], limit: 6) == ["123456"])
  }
}
