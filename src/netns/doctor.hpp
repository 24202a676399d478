// Why runs do not work on this machine, and what to set.
#pragma once

#include <string>
#include <vector>

namespace warren::netns {

struct Finding {
  enum class State { Good, Weak, Bad };
  std::string what;  ///< "user namespaces"
  State state = State::Good;
  std::string text;    ///< what was found
  std::string remedy;  ///< what to do; empty when good
};

/// Tries, in a child that leaves nothing, every step of a run but the tunnel itself, and explains
/// the first that fails. Without privilege; the caller has one thread.
[[nodiscard]] std::vector<Finding> diagnose();

/// Whether a system call of namespaces is refused by a seccomp filter rather than for want of a
/// permission: asked with arguments that the kernel itself would answer with another error.
[[nodiscard]] bool seccomp_refuses_namespaces();

}  // namespace warren::netns
