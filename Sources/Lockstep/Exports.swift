// What a machine is written with, and what replies name (LogIndex, NodeID), belongs to what users import.
@_exported public import LockstepConsensus
@_exported public import LockstepExecution
