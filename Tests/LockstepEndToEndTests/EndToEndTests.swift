import Glibc
import Testing

/// Real processes, real files, real signals. One test at a time: each uses most of a small machine.
///
/// LOCKSTEP_ROUNDS=full runs as many rounds as the promises are made for; LOCKSTEP_BINARY and LOCKSTEP_BANK name the
/// programs to test, and with the former set, times are held to their bounds as well.
@Suite(.serialized) struct EndToEndTests {}
