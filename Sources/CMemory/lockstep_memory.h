#pragma once
// What Swift has no words for.

#include <malloc.h>
#include <stddef.h>

// Asks the processor for the line of memory at this address, which need not be one.
static inline void lockstep_prefetch(const void *address) { __builtin_prefetch(address, 1); }

// Tells malloc to keep up to `bytes` of what is freed, and to map nothing smaller than `mapped` by itself. Setting one of
// the two ends malloc's own choice of both. False where it cannot be told.
static inline _Bool lockstep_keep_freed(int bytes, int mapped) {
#if defined(M_TRIM_THRESHOLD) && defined(M_MMAP_THRESHOLD)
  return mallopt(M_TRIM_THRESHOLD, bytes) && mallopt(M_MMAP_THRESHOLD, mapped);
#else
  return 0;
#endif
}
