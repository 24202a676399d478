#include "sandbox/privileges.hpp"

#include <cap-ng.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tuple>

namespace warren::sandbox {

namespace {

base::Status set_control(int option, unsigned long value, const char* what) {
  if (prctl(option, value, 0UL, 0UL, 0UL) < 0) return base::os_error(what);
  return {};
}

}  // namespace

base::Status forbid_new_privileges() {
  return set_control(PR_SET_NO_NEW_PRIVS, 1, "forbid new privileges");
}

base::Status forbid_debugging() { return set_control(PR_SET_DUMPABLE, 0, "forbid debugging"); }

base::Status limit(__rlimit_resource resource, rlim_t value, const char* what) {
  const rlimit bound{.rlim_cur = value, .rlim_max = value};
  if (setrlimit(resource, &bound) < 0) return base::os_error(what);
  return {};
}

base::Status drop_capabilities() {
  capng_clear(CAPNG_SELECT_BOTH);
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) {
    return base::make_error(base::ErrorKind::Failed, "drop the capabilities: the kernel refused");
  }
  std::ignore = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL);
  return {};
}

bool forbid_files() {
  landlock_ruleset_attr rules{.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
  const long ruleset = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
  if (ruleset < 0) return false;
  const bool done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  close(static_cast<int>(ruleset));
  return done;
}

}  // namespace warren::sandbox
