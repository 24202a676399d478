#include "netns/close_others.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace warren::netns {

void close_others(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned first = STDERR_FILENO + 1;
  for (const int descriptor : kept) {
    const auto number = static_cast<unsigned>(descriptor);
    if (number > first) syscall(SYS_close_range, first, number - 1, 0);
    first = number + 1;
  }
  syscall(SYS_close_range, first, ~0U, 0);
}

}  // namespace warren::netns
