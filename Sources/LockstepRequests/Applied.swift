/// Has the command of a failed call been carried out?
public enum Applied: String, Hashable, Sendable, CaseIterable {
  /// It may have been, or may be later.
  case unknown
  /// It never was and never will be: said only when that is certain.
  case no
  /// It was; the failure is its recorded reply, or says that the reply was left out for want of room, or that the level
  /// of acknowledgement was not reached.
  case yes
}
