import NIOCore

/// Calls back at a steady interval, on an event loop and from it. A loop that was held up calls once, not once for
/// each interval that it missed.
final class RepeatingTimer {
  private let eventLoop: any EventLoop
  private let interval: TimeAmount
  private let action: () -> Void
  private var next: Scheduled<Void>?

  init(on eventLoop: any EventLoop, every interval: TimeAmount, _ action: @escaping () -> Void) {
    self.eventLoop = eventLoop
    self.interval = interval
    self.action = action
    schedule(at: .now() + interval)
  }

  private func schedule(at time: NIODeadline) {
    next = eventLoop.assumeIsolated().scheduleTask(deadline: time) {
      self.action()
      guard self.next != nil else { return }
      self.schedule(at: max(time + self.interval, .now()))
    }
  }

  func stop() {
    next?.cancel()
    next = nil
  }
}
