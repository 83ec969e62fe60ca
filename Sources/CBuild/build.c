#include "lockstep_build.h"

const char *lockstep_build_commit(void) { return LOCKSTEP_COMMIT; }
