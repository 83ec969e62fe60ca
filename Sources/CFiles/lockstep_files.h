#pragma once
// What the C library shows only to those who ask for more than POSIX.

#include <linux/stat.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// When and as which inode an open file was made; 0 when the file system or the kernel does not tell. Births are counted in
// ticks of some milliseconds, in which a copy may be made too: that has another inode.
static inline uint64_t lockstep_file_birth(int file) {
  struct statx status;
  const int empty_path = 0x1000;
  if (syscall(SYS_statx, file, "", empty_path, STATX_BTIME | STATX_INO, &status) != 0) return 0;
  if (!(status.stx_mask & STATX_BTIME)) return 0;
  uint64_t birth = (uint64_t)status.stx_btime.tv_sec * 1000000000u + status.stx_btime.tv_nsec;
  birth ^= status.stx_ino * 0x9e3779b97f4a7c15u;
  return birth == 0 ? 1 : birth;
}
