// What a process gives up beside its system calls.
#pragma once

#include <sys/resource.h>

#include "base/result.hpp"

namespace warren::sandbox {

/// No program that it starts gains a privilege; a filter may be loaded without one.
[[nodiscard]] base::Status forbid_new_privileges();
/// Nobody of its own user may look into its memory. Changing the user undoes it: call it later.
[[nodiscard]] base::Status forbid_debugging();
/// Both bounds; `what` is attempted, for the error.
[[nodiscard]] base::Status limit(__rlimit_resource resource, rlim_t value, const char* what);
/// Every capability, the ambient ones too.
[[nodiscard]] base::Status drop_capabilities();
/// Every kind of file access that Landlock knew in its first version (Linux 5.13). False where the
/// kernel has none; forbid_new_privileges() comes first.
[[nodiscard]] bool forbid_files();

}  // namespace warren::sandbox
