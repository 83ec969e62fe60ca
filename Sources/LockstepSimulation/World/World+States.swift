import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepStorage

// Machines: in memory, made of the newest snapshot at a start, or on the disk of their node, where they keep themselves.

extension World {
  /// What a process begins with.
  struct StartingState {
    let applier: any Applier
    let snapshot: StoredSnapshot?
    /// Of the last entry that a machine with its own storage has carried out.
    var chain: UInt64?
    let installer: any StateInstaller
  }

  func startingState(
    _ place: Int, _ recovery: StateRecovery, _ recovered: RecoveredGroup?
  ) throws(StorageError) -> StartingState {
    if options.keepsState { return try keptState(place, recovery, recovered) }
    let restored = try recovery.restore(group, first: workload.machine, recovered: recovered)
    if restored.snapshot != nil { faults.count(.snapshotRestored) }
    return StartingState(
      applier: applier(place, restored.executor), snapshot: restored.snapshot,
      installer: MemoryInstaller { [unowned self] file throws(StorageError) in
        applier(place, try StateRecovery.executor(from: file, first: workload.machine, options.sessionLimits))
      })
  }

  /// A machine in memory, which answers at once, or as one with a thread of its own does.
  private func applier(_ place: Int, _ executor: Executor) -> any Applier {
    guard options.appliesLate else { return ImmediateApplier(executor) }
    return SimulatedApplier(
      executor, atOnce: 1 + processRandom.below(40), isWanted: wakesApplier(of: place), fails: failsMachine(of: place))
  }

  private func keptState(
    _ place: Int, _ recovery: StateRecovery, _ recovered: RecoveredGroup?
  ) throws(StorageError) -> StartingState {
    let disk = nodes[place].disk
    let machine = KeptMachine(workload.machine, on: disk, entriesBetweenWrites: options.entriesBetweenWrites)
    let directories = StateDirectories("data", group: group, on: disk)
    let begin: StoredStates.Begin = { [unowned self] executor, machine throws(StoredMachineFailure) in
      try SimulatedStoredApplier(
        executor, of: machine, atOnce: 1 + processRandom.below(40), isWanted: wakesApplier(of: place),
        fails: failsMachine(of: place))
    }
    do throws(StoredStateFailure) {
      let (opened, snapshot) = try recovery.open(group, machine, in: directories, recovered: recovered)
      let mark = opened.executor.mark.last.index
      if let gap = opened.gap {
        faults.count(.keptStateMadeAnew)
        tell("node \(place + 1): \(gap)")
      } else if mark > .zero, mark < nodes[place].appliedBefore {
        faults.count(.keptStateBehind)
      }
      do throws(StoredMachineFailure) {
        let applier = try begin(opened.executor, machine)
        let states = StoredStates(
          applier, in: opened.directory, of: directories, machine: machine, limits: options.sessionLimits,
          beginWork: begin)
        return StartingState(applier: applier, snapshot: snapshot, chain: opened.chain, installer: states)
      } catch { throw StoredStateFailure.machine(error) }
    } catch {
      switch error {
      case .storage(let error): throw error
      case .machine(let failure):
        switch failure.kind {
        case .storage: throw .disk(DiskError(operation: "open", path: "data", reason: .other, text: failure.message))
        case .damaged: throw .damaged(file: "data", offset: 0, reason: failure.message)
        case .refused: throw .refused(path: "data", reason: failure.message)
        }
      }
    }
  }

  private func wakesApplier(of place: Int) -> () -> Void {
    let life = nodes[place].life
    return { [unowned self] in
      plan(.applied(node: place, life: life), in: 10_000 + UInt64(processRandom.below(300_000)))
    }
  }

  private func failsMachine(of place: Int) -> () -> Bool {
    { [unowned self] in
      guard crashOdds.machine > 0, processRandom.oneIn(crashOdds.machine) else { return false }
      faults.count(.machineFailed)
      nodes[place].machineHasFailed = true
      return true
    }
  }
}
