#pragma once
// All three come with the compiler; the functions are linked by -sanitize=fuzzer,address.
#include <sanitizer/allocator_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <stddef.h>
#include <stdint.h>

// libFuzzer as a library, <https://llvm.org/docs/LibFuzzer.html#using-libfuzzer-as-a-library>: no header has it.
int LLVMFuzzerRunDriver(int *count, char ***arguments, int (*run)(const uint8_t *bytes, size_t length));
