// Socket families that a network namespace does not hold.
#pragma once

namespace warren::netns {

/// Leaves the calling process and what it starts the families that the run's network namespace
/// contains: Unix, IPv4, IPv6, netlink, packet, and the kernel's cryptography. Needs
/// no-new-privileges. False with errno where the kernel refuses; true without effect on processors
/// that it does not know.
[[nodiscard]] bool forbid_foreign_sockets();

}  // namespace warren::netns
