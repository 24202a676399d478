// For a forked child that goes on without exec.
#pragma once

#include <vector>

namespace warren::netns {

/// Closes every descriptor but the standard streams and those of the list.
void close_others(std::vector<int> kept);

}  // namespace warren::netns
