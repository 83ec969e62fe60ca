// What a machine is written with belongs to what users import.
@_exported public import LockstepExecution
