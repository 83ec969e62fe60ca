import Dispatch
import Foundation
import LockstepConsensus
import LockstepDriver
import LockstepStorage
import LockstepWire
import NIOCore

/// Where snapshots that come from other nodes, and go to them, are written and read: a queue of its own, so that nothing
/// else waits for it. Work is done in the order in which it came.
final class TransferQueue: @unchecked Sendable {
  // Unchecked: worker, installer, outgoing files and store are touched on the queue alone.
  private let queue = DispatchQueue(label: "lockstep-transfer", qos: .utility)
  private let eventLoop: any EventLoop
  private let worker: FetchWorker
  private let outgoing: OutgoingSnapshots
  private let store: SnapshotStore
  private let installer: any StateInstaller

  init(store: SnapshotStore, eventLoop: any EventLoop, installer: any StateInstaller) {
    self.eventLoop = eventLoop
    self.installer = installer
    self.store = store
    worker = FetchWorker(store: store, installer: installer)
    outgoing = OutgoingSnapshots(store: store)
  }

  /// `done` is called on the loop.
  func run(_ work: FetchWork, done: @escaping (FetchResult) -> Void) {
    onQueue({ $0.worker.run(work) }, done)
  }

  func read(_ read: SnapshotRead, done: @escaping (OutgoingSnapshots.Answer) -> Void) {
    onQueue({ $0.outgoing.read(read) }, done)
  }

  /// Nobody reads now.
  func restOutgoing() { queue.async { self.outgoing.rest() } }

  func settle(_ group: GroupID, at index: LogIndex, isOfUse: Bool, failed: @escaping (StorageError) -> Void) {
    onQueue { queue -> StorageError? in
      do throws(StorageError) {
        try queue.installer.settle(isOfUse: isOfUse)
        if isOfUse {
          try queue.store.replaceOlder(group, by: index)
        } else {
          try queue.store.settle(group) { _ in false }
        }
        return nil
      } catch { return error }
    } _: {
      if let error = $0 { failed(error) }
    }
  }

  /// Reads what comes, while the queue writes it.
  static func inBackground(_ body: @escaping @Sendable () -> Void) {
    let thread = Thread {
      ThreadSchedule.withoutPreempting()
      body()
    }
    thread.name = "lockstep-restore"
    thread.stackSize = 1 << 20
    thread.start()
  }

  /// Returns when nothing is read or written any more.
  func stop() { queue.sync { worker.stop() } }

  private func onQueue<Result>(
    _ work: @escaping @Sendable (TransferQueue) -> Result, _ done: @escaping (Result) -> Void
  ) {
    let box = NIOLoopBound(done, eventLoop: eventLoop)
    queue.async {
      let result = UnsafeTransfer(work(self))
      self.eventLoop.execute { box.value(result.value) }
    }
  }
}
