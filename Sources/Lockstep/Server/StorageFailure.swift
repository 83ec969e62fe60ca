import LockstepStorage

// How a node ends for its disk, and what is to be done about it: what has happened, and to which file, the error says.

extension ServerFailure {
  init(_ error: StorageError) {
    let kind: Kind =
      switch error {
      case .outOfSpace: .diskFull
      case .disk, .invalidWrite, .stopped: .disk
      case .locked: .locked
      case .damaged, .lost: .damaged
      case .refused: .identity
      }
    self.init(kind, error.remedy.map { "\(error); \($0)" } ?? "\(error)")
  }

  /// Of a node that was at work. Whose directory it is was clear then: what cannot be found in it now has changed.
  init(whileRunning error: StorageError) {
    if case .refused(let path, let reason) = error {
      self.init(.lost(path: path, reason: reason))
    } else {
      self.init(error)
    }
  }
}

extension StorageError {
  /// What an operator can do next, where the error itself does not say.
  fileprivate var remedy: String? {
    switch self {
    case .damaged, .lost:
      """
      put it back as it was when this node stopped, if you have that, and look at all of the directory with 'lockstep log \
      verify'. A copy of another node's directory is not allowed in its place, nor is an empty one: this node would vote \
      without what it has promised. The other nodes go on while they are a majority
      """
    case .disk: "look at the device, and at who may read and write there; then start this node again"
    case .outOfSpace: "make room, and start this node again"
    case .locked, .refused, .invalidWrite, .stopped: nil
    }
  }
}
