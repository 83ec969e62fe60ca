import LockstepConsensus
import LockstepDriver
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepSimulation

@Suite("Books")
struct BooksTests {
  @Test(
    "books: entries behind a base are found by their index, and nothing is known of those before", arguments: [0, 7])
  func indexed(base: UInt64) {
    var entries = Indexed<String>(base: LogIndex(base))
    #expect(entries.last == LogIndex(base) && entries[LogIndex(base)] == nil && entries.lastElement == nil)
    entries.append(contentsOf: ["a", "b", "c"])
    #expect(entries.last == LogIndex(base + 3) && entries.lastElement == "c")
    #expect([0, 1, 2, 3, 4].map { entries[LogIndex(base + $0)] } == [nil, "a", "b", "c", nil])
    #expect(entries.prefix(through: LogIndex(base + 1)).elements == ["a"])
    #expect(entries.prefix(through: LogIndex(base + 9)).elements == ["a", "b", "c"])
    entries.removeAll(after: .zero)
    #expect(entries.last == LogIndex(base) && entries.elements.isEmpty)
  }

  /// Books of three nodes whose logs begin after entry 7.
  private func books() -> Books {
    let workload = RegisterWorkload(registers: 1, padding: 0...0, queriesIn: 2)
    return Books(
      count: 3, group: .first,
      replay: Replay(group: .first, machine: workload.machine, workload: workload),
      base: Books.Base(last: EntryID(term: Term(2), index: LogIndex(7)), chain: 99))
  }

  private func write(_ books: Books, at node: Int) -> EntryBlock {
    var block = EntryBlock(first: LogIndex(8), previousChain: 99)
    block.append(term: Term(2), kind: .noOperation, timestamp: 1)
    books.writeBegins(
      node,
      LogWrite(group: .first, hardState: HardState(term: Term(2), vote: nil, commit: LogIndex(7)), blocks: [block]),
      base: nil)
    books.writeEnds(node)
    return block
  }

  @Test("books: a write to a log that has a base is booked behind it")
  func written() {
    let books = books()
    let block = write(books, at: 0)
    let stored = books.nodes[0].stored
    #expect(stored.base == LogIndex(7) && stored.last == LogIndex(8))
    #expect(stored[LogIndex(8)] == Books.Entry(term: Term(2), chain: block.chain(at: LogIndex(8))))
    #expect(books.failure == nil)
  }

  @Test("books: what a base covers may be acknowledged; what is neither there nor on the disk may not")
  func acknowledged() {
    for (match, isFine) in [(7, true), (8, false)] as [(UInt64, Bool)] {
      let books = books()
      let reply = AppendReply(term: Term(2), verdict: .accepted(match: LogIndex(match)), readRound: 0)
      books.isSent(.appendReply(reply), by: 1, to: NodeID(1))
      #expect((books.failure == nil) == isFine)
    }
  }
}
