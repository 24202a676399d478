#include "base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace warren::base {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "warren: assertion failed: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace warren::base
