// A machine fails with a `CallStatus`: who imports this module need not know where that stands.
@_exported public import LockstepRequests
