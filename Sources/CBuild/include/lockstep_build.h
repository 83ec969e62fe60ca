#pragma once

/// The commit that this was built of, as Package.swift has seen it: its hash, and "modified" if the files were not as committed;
/// "unknown" outside of a repository.
const char *lockstep_build_commit(void);
