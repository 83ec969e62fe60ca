import DequeModule
import LockstepRequests

/// Reads whose clients have much to read already, client by client, in the order in which they came. A client is asked
/// whether it has room once in a while, and once an answer: what thousands of its calls would ask, one has asked.
struct StalledReads<Read> {
  private struct Client {
    let writer: any ReplyWriter
    var reads: Deque<Read>
  }

  /// Each with a read at least.
  private var clients: [Client] = []
  private var places: [ObjectIdentifier: Int] = [:]
  /// Those before it are known to have no room, until they are asked again.
  private var asked = 0

  /// Some client may have room.
  var haveRoom: Bool { asked < clients.count }

  /// Something of this one waits already: what comes after waits behind it.
  func isWaiting(_ writer: any ReplyWriter) -> Bool { places[ObjectIdentifier(writer)] != nil }

  mutating func append(_ read: Read, of writer: any ReplyWriter) {
    if let place = places[ObjectIdentifier(writer)] { return clients[place].reads.append(read) }
    places[ObjectIdentifier(writer)] = clients.count
    // It has just been asked: it stands with those that have no room.
    clients.append(Client(writer: writer, reads: [read]))
    swap(asked, clients.count - 1)
    asked += 1
  }

  /// All are to be asked again. Returns whether there are any.
  mutating func lookForRoom() -> Bool {
    asked = 0
    while asked < clients.count, !clients[asked].writer.hasRoom { asked += 1 }
    return haveRoom
  }

  /// The next read of a client that has room.
  mutating func next() -> Read? {
    while asked < clients.count {
      guard clients[asked].writer.hasRoom else {
        asked += 1
        continue
      }
      let read = clients[asked].reads.popFirst()
      if clients[asked].reads.isEmpty { remove(asked) }
      if let read { return read }
    }
    return nil
  }

  /// `body` may take reads away.
  mutating func change(_ body: (inout Deque<Read>) -> Void) {
    for place in clients.indices.reversed() {
      body(&clients[place].reads)
      guard clients[place].reads.isEmpty else { continue }
      if place < asked {
        asked -= 1
        swap(place, asked)
        remove(asked)
      } else {
        remove(place)
      }
    }
  }

  private mutating func remove(_ place: Int) {
    swap(place, clients.count - 1)
    places[ObjectIdentifier(clients[clients.count - 1].writer)] = nil
    clients.removeLast()
  }

  private mutating func swap(_ one: Int, _ other: Int) {
    guard one != other else { return }
    clients.swapAt(one, other)
    places[ObjectIdentifier(clients[one].writer)] = one
    places[ObjectIdentifier(clients[other].writer)] = other
  }
}
