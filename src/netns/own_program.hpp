// The programs of ours that a run starts.
#pragma once

#include <string>

#include "base/result.hpp"

namespace warren::netns {

/// What the environment's `variable` names, or the program `name` beside the running one. NotFound,
/// with `hint`, where there is none.
[[nodiscard]] base::Result<std::string> own_program(const char* variable, const std::string& name,
                                                    const std::string& hint);

}  // namespace warren::netns
