#include "gateway/privileges.hpp"

#include <sys/resource.h>

#include <array>
#include <string>
#include <tuple>
#include <vector>

#include <cap-ng.h>

namespace warren::gateway {

using base::ErrorKind;
using base::make_error;

namespace {

constexpr std::array<unsigned, 2> kRequired = {CAP_NET_ADMIN, CAP_SYS_ADMIN};
constexpr std::array<unsigned, 9> kUseful = {
    CAP_NET_BIND_SERVICE, CAP_SETUID,     CAP_SETGID,      CAP_SETPCAP, CAP_KILL, CAP_CHOWN,
    CAP_NET_RAW,          CAP_SYS_CHROOT, CAP_DAC_OVERRIDE};

std::string name_of(unsigned capability) {
  std::string name = "CAP_";
  for (const char* at = capng_capability_to_name(capability); at != nullptr && *at != '\0'; ++at)
    name += static_cast<char>(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
  return name;
}

}  // namespace

base::Status keep_needed_capabilities() {
  if (capng_get_caps_process() != 0)
    return make_error(ErrorKind::Failed, "read the capabilities of this process");
  std::vector<unsigned> kept;
  for (const unsigned capability : kRequired) {
    if (capng_have_capability(CAPNG_EFFECTIVE, capability) == 0)
      return make_error(ErrorKind::NotPermitted,
                        "run the daemon: this process lacks " + name_of(capability),
                        "run it as root (sudo warren daemon, or systemctl start warren), or with "
                        "--rootless. Members need no daemon: warren join, warren run");
    kept.push_back(capability);
  }
  for (const unsigned capability : kUseful)
    if (capng_have_capability(CAPNG_PERMITTED, capability) != 0) kept.push_back(capability);
  const bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
  capng_clear(CAPNG_SELECT_BOTH);
  for (const unsigned capability : kept) {
    constexpr auto kWhere =
        static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET);
    if (capng_update(CAPNG_ADD, kWhere, capability) != 0)
      return make_error(ErrorKind::Failed, "choose the capabilities to keep");
  }
  if (capng_apply(may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) != 0)
    return make_error(ErrorKind::Failed, "give up the capabilities that are not needed");
  return {};
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  std::ignore = setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace warren::gateway
