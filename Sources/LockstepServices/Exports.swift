// Whoever writes a service names these modules' types (ApplyContext, CallStatus, Schema, LogIndex) in every method: one
// import is enough for them. Inside this package the core's `Message` comes along, so protobuf's is written in full.
@_exported public import LockstepConsensus
@_exported public import LockstepExecution
