/// Mistakes that were made on purpose, to see that the simulator finds them. Each is small, and most were shipped by
/// somebody once. In release builds `planted` is the constant false, and leaves nothing behind; debug builds, and
/// `tools/planted`, define `LOCKSTEP_PLANTED_BUGS`.
@usableFromInline
package enum PlantedBug: String, CaseIterable, Sendable {
  // Elections
  case votesTwiceInATerm
  case votesBeforeItIsStored
  case votesForAShorterLog
  case comparesLengthBeforeTerm
  case preVoteRaisesTheTerm
  case countsPreVotesAsVotes
  case countsRefusalsAsVotes
  case forgetsItsVoteWhenItFollows
  case halfIsAMajority
  case neverCampaigns
  case leadsWithoutAnEntryOfItsOwn
  // Replication
  case commitsOldTermsByCounting
  case countsItsOwnUnsyncedEntries
  case acknowledgesBeforeTheSync
  case commitsBeyondWhatMatches
  case truncatesMatchingEntries
  case takesEntriesWithoutThePreviousOne
  case countsALateReceiptOfTruncatedEntries
  case takesOrdersOfAnOlderTerm
  case takesARejectionForAMatch
  case sendsEachProbeOnce
  case neverFreesTheWindow
  case keepsConflictingEntries
  // Reads
  case readsBeforeItsOwnFirstEntry
  case readsWithoutARound
  case takesAnOldRoundForThisOne
  case readsAtTheCommitIndexOfItsElection
  // Driver
  case appliesWhatIsNotCommitted
  case answersReadsBeforeTheyAreApplied
  case answersForAnotherEntry
  case deniesWhatTimedOut
  case deniesWhatWasPassedOn
  case takesAFailedSyncForASuccess
  case storesNoVote
  case storesTheFirstStateOfATurn
  case answersWithTheNextIndex
  case namesAllVotersAsHolders
  case staysUpAfterAFailedWrite
  // Execution
  case appliesBatchesBackwards
  case answersBatchesBackwards
  case skipsACommandAfterAFailure
  // Log
  case skipsTheSync
  case syncsEverySecondBatch
  case syncsBeforeItWrites
  case skipsTheSyncOfTheDirectory
  case doesNotWriteTheTailAgain
  case doesNotSyncTheIdentity
  case storesNoStateWithoutEntries
  case forgetsTheLastBatchAtTheStart
  case givesOldEntriesOfAnotherTerm
}

#if LOCKSTEP_PLANTED_BUGS
  extension PlantedBug {
    // Unsafe: set before a simulation begins, and a simulation is one thread.
    @usableFromInline nonisolated(unsafe) package static var active: PlantedBug?
    /// The first assertion of the program's own that did not hold.
    // Unsafe: written and read by that one thread.
    @usableFromInline nonisolated(unsafe) package static var tripped: String?
  }
#endif

/// Is this mistake to be made?
@inlinable
@inline(__always)
package func planted(_ bug: PlantedBug) -> Bool {
  #if LOCKSTEP_PLANTED_BUGS
    return PlantedBug.active == bug
  #else
    return false
  #endif
}

/// A precondition, except where mistakes are made on purpose: there it is told, and the run goes on.
@inlinable
@inline(__always)
package func invariant(_ holds: @autoclosure () -> Bool, _ message: @autoclosure () -> String) {
  #if LOCKSTEP_PLANTED_BUGS
    if PlantedBug.active == nil {
      precondition(holds(), message())
    } else if PlantedBug.tripped == nil, !holds() {
      PlantedBug.tripped = message()
    }
  #else
    precondition(holds(), message())
  #endif
}
