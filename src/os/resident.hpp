#pragma once

namespace warren::os {

/// Gives back what a process that came to rest does not need: free memory of the allocator, and the
/// read-only pages of the program and its libraries. What is used again comes back from the page
/// cache by itself, 64 KiB with each minor fault. Any thread, any time; a few hundred faults
/// follow, so not on a hot path.
void release_memory();

}  // namespace warren::os
