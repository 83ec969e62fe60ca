// A machine fails with a `Status`: who imports this module need not know where that stands.
@_exported public import LockstepRequests
