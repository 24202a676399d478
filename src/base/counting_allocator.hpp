// For tests: counts what operator new is asked for. Replaces it in the program of the one source
// file that includes this header.
#pragma once

#include <cstdlib>
#include <new>

namespace warren::base {

/// Of this thread, so far.
inline thread_local std::size_t allocations = 0;

}  // namespace warren::base

// Not inlined: GCC would see malloc's memory freed by delete and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++warren::base::allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
// std::stable_partition asks so; a sanitizer's would not go with the free below.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return operator new(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
