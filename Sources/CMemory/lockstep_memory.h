#pragma once
// What Swift has no words for.

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>

// Asks the processor for the line of memory at this address, which need not be one.
static inline void lockstep_prefetch(const void *address) { __builtin_prefetch(address, 1); }

// Tells malloc to keep up to `bytes` of what is freed, to map nothing smaller than `mapped` by itself, and to ask for
// `ahead` bytes more than it needs. Setting one of them ends malloc's own choice of all. False where it cannot be told.
static inline _Bool lockstep_keep_freed(int bytes, int mapped, int ahead) {
#if defined(M_TRIM_THRESHOLD) && defined(M_MMAP_THRESHOLD) && defined(M_TOP_PAD)
  return mallopt(M_TRIM_THRESHOLD, bytes) && mallopt(M_MMAP_THRESHOLD, mapped) && mallopt(M_TOP_PAD, ahead);
#else
  return 0;
#endif
}

// Tells malloc that all threads share the arena of the first, unless the environment says how many there may be.
static inline _Bool lockstep_share_arena(void) {
#if defined(M_ARENA_MAX)
  return getenv("MALLOC_ARENA_MAX") ? 0 : mallopt(M_ARENA_MAX, 1);
#else
  return 0;
#endif
}
