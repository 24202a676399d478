// ICMP echo over unprivileged ICMP sockets (SOCK_DGRAM, IPPROTO_ICMP; icmp(7)).
#pragma once

#include <optional>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "os/fd.hpp"

namespace warren::netns {

/// An ICMP socket in the calling thread's network namespace; needs our group in
/// net.ipv4.ping_group_range.
[[nodiscard]] base::Result<os::Fd> open_echo_socket(base::Family family);

/// Sends one request; that nothing leads to the target yet is no error.
[[nodiscard]] base::Status send_echo(const os::Fd& socket, const base::IpAddress& target,
                                     std::uint16_t sequence);

/// Sends echo requests until one is answered: the round trip of the answered one. nullopt: none
/// until the deadline, or `abort` (if any) became readable. An unreachable target is retried.
[[nodiscard]] base::Result<std::optional<base::Duration>> wait_for_echo(
    const os::Fd& socket, const base::IpAddress& target, base::Instant deadline,
    const os::Fd* abort = nullptr);

}  // namespace warren::netns
