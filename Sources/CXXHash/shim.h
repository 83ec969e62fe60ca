#pragma once
// XXH3 is header only here: XXH_INLINE_ALL compiles it into the caller, nothing is linked.
#define XXH_INLINE_ALL
#include <xxhash.h>

// The name is distinct because Swift cannot import a function that the header marks always_inline
// in every version of xxhash.
static inline unsigned long long lockstep_xxh3_64(const void *bytes, size_t count, unsigned long long seed) {
  return XXH3_64bits_withSeed(bytes, count, seed);
}
