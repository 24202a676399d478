// WARREN_ASSERT: a broken invariant of ours ends the program, in release builds too.
// Never about anything that a peer, a user or the kernel can cause.
#pragma once

namespace warren::base {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);
}

#define WARREN_ASSERT(condition) \
  ((condition) ? void(0) : ::warren::base::assertion_failed(#condition, __FILE__, __LINE__))
