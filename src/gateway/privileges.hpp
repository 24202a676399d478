// What the daemon may do on its host: no more than it needs.
#pragma once

#include "base/result.hpp"

namespace warren::gateway {

/// Keeps these capabilities, where they are there, and gives up all others, also for children:
///   CAP_NET_ADMIN         links, addresses, routes, nftables, conntrack, tun devices, marks
///   CAP_SYS_ADMIN         network namespaces: to make, name and enter them
///   CAP_NET_BIND_SERVICE  an enrolment listener or a network on a port below 1024
///   CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_SYS_CHROOT   engines become nobody, in an empty
///                         root, without a capability
///   CAP_KILL              engines are another user's processes
///   CAP_CHOWN             the API socket belongs to the group warren
///   CAP_DAC_OVERRIDE      files of an administrator who is not root own the state
/// NotPermitted: one of the first two is missing.
[[nodiscard]] base::Status keep_needed_capabilities();

/// As many open files as this process may have: a network takes seven of them.
void raise_descriptor_limit();

}  // namespace warren::gateway
