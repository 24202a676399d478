// Theory of operation. libseccomp makes the program for the kernel: it looks at the architecture
// first, so that a number means the call it stands for. What goes wrong while the rules are added
// is remembered and told once, when the filter is loaded: a filter with a rule missing never is.
#include "sandbox/call_filter.hpp"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>

#include <array>

namespace warren::sandbox {

namespace {

#ifdef WARREN_SANITIZED
constexpr bool kLoads = false;
#else
constexpr bool kLoads = true;
#endif

constexpr std::size_t kMaxConditions = 6;  // a call has no more arguments

scmp_arg_cmp comparison(const Condition& condition) {
  switch (condition.is) {
    case Condition::Is::Less:
      return SCMP_CMP(condition.argument, SCMP_CMP_LT, condition.value, 0);
    case Condition::Is::Greater:
      return SCMP_CMP(condition.argument, SCMP_CMP_GT, condition.value, 0);
    case Condition::Is::WithoutBits:
      return SCMP_CMP(condition.argument, SCMP_CMP_MASKED_EQ, condition.value, 0);
    case Condition::Is::Equal:
      break;
  }
  return SCMP_CMP(condition.argument, SCMP_CMP_EQ, condition.value, 0);
}

}  // namespace

void CallFilter::Release::operator()(void* filter) const { seccomp_release(filter); }

CallFilter::CallFilter() : filter_(seccomp_init(SCMP_ACT_KILL_PROCESS)) {
  is_sound_ = filter_ != nullptr;
}

void CallFilter::add(std::uint32_t action, int call, std::span<const Condition> conditions) {
  std::array<scmp_arg_cmp, kMaxConditions> wanted{};
  is_sound_ = is_sound_ && conditions.size() <= wanted.size();
  if (!is_sound_) return;
  for (std::size_t at = 0; at < conditions.size(); ++at) wanted[at] = comparison(conditions[at]);
  is_sound_ = seccomp_rule_add_array(filter_.get(), action, call,
                                     static_cast<unsigned>(conditions.size()), wanted.data()) == 0;
}

CallFilter& CallFilter::allow(std::span<const int> calls) {
  for (const int call : calls) add(SCMP_ACT_ALLOW, call, {});
  return *this;
}

CallFilter& CallFilter::allow_if(int call, std::initializer_list<Condition> conditions) {
  add(SCMP_ACT_ALLOW, call, {conditions.begin(), conditions.size()});
  return *this;
}

CallFilter& CallFilter::allow_memory() {
  constexpr unsigned kProtection = 2;  // of both calls
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)})
    allow_if(call, {{Condition::Is::WithoutBits, kProtection, PROT_EXEC}});
  return *this;
}

CallFilter& CallFilter::allow_fcntl(std::initializer_list<int> commands) {
  for (const int command : commands) allow_if(SCMP_SYS(fcntl), {equals(1, command)});
  return *this;
}

CallFilter& CallFilter::refuse(std::span<const int> calls) {
  for (const int call : calls) add(SCMP_ACT_ERRNO(EACCES), call, {});
  return *this;
}

CallFilter& CallFilter::refuse_if(int call, std::initializer_list<Condition> conditions) {
  add(SCMP_ACT_ERRNO(EACCES), call, {conditions.begin(), conditions.size()});
  return *this;
}

base::Status CallFilter::load() {
  if (!is_sound_ || seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_TSYNC, 1) != 0)
    return base::make_error(base::ErrorKind::Internal, "build the seccomp filter");
  if constexpr (!kLoads) return {};
  if (const int error = seccomp_load(filter_.get()); error != 0) {
    return base::os_error("load the seccomp filter", -error)
        .with_hint("the kernel needs CONFIG_SECCOMP_FILTER, and a container must not forbid it");
  }
  return {};
}

}  // namespace warren::sandbox
