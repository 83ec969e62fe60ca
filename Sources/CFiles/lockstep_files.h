#pragma once
// What the C library shows only to those who ask for more than POSIX.

#include <linux/stat.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// When an open file was made, in nanoseconds since 1970; 0 when the file system or the kernel does not tell.
static inline uint64_t lockstep_file_birth(int file) {
  struct statx status;
  const int empty_path = 0x1000;
  if (syscall(SYS_statx, file, "", empty_path, STATX_BTIME, &status) != 0) return 0;
  if (!(status.stx_mask & STATX_BTIME)) return 0;
  return (uint64_t)status.stx_btime.tv_sec * 1000000000u + status.stx_btime.tv_nsec;
}
