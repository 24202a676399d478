// CallFilter: the system calls that a process leaves itself. Who uses it brings the list.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>

#include "base/result.hpp"

namespace warren::sandbox {

/// What an argument of a call must be, from 0 on.
struct Condition {
  enum class Is { Equal, Less, Greater, WithoutBits } is = Is::Equal;
  unsigned argument = 0;
  std::uint64_t value = 0;
};
/// An argument that is this value.
[[nodiscard]] constexpr Condition equals(unsigned argument, std::int64_t value) {
  return {Condition::Is::Equal, argument, static_cast<std::uint64_t>(value)};
}

/// A seccomp filter. A call that is not named ends the process at once, as does one in the way of
/// another architecture. Calls are the numbers of libseccomp (SCMP_SYS).
class CallFilter {
 public:
  CallFilter();

  CallFilter& allow(std::span<const int> calls);
  /// Allowed where all conditions hold.
  CallFilter& allow_if(int call, std::initializer_list<Condition> conditions);
  /// Memory may be mapped and its protection changed, but never so that it can be executed.
  CallFilter& allow_memory();
  /// fcntl with these commands.
  CallFilter& allow_fcntl(std::initializer_list<int> commands);
  /// Fails with EACCES: for what a library tries and can do without.
  CallFilter& refuse(std::span<const int> calls);
  CallFilter& refuse_if(int call, std::initializer_list<Condition> conditions);

  /// Puts it on every thread of the process, for good. Internal: a rule contradicts another or the
  /// library's limits; otherwise what the kernel says. A build with sanitizers, whose runtime needs
  /// calls of its own, checks the rules and loads nothing.
  [[nodiscard]] base::Status load();

 private:
  struct Release {
    void operator()(void* filter) const;
  };
  void add(std::uint32_t action, int call, std::span<const Condition> conditions);

  std::unique_ptr<void, Release> filter_;
  bool is_sound_ = true;
};

}  // namespace warren::sandbox
