// StackSettings: the first message from `warren proxy` to its warren-stack, over an inherited
// SOCK_SEQPACKET pair. The answer is one message, kStackReady, once the proxy may be used.
//
// Lines of key=value; a key that holds several values is repeated. docs/design/0017-proxy.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"

namespace warren::ipc {

inline constexpr std::size_t kMaxStackSettings = 128 << 10;
inline constexpr std::string_view kStackReady = "ready\n";
/// The numbers of the descriptors that warren-stack is started with.
inline constexpr int kStackControlFd = 3;   ///< this message comes here
inline constexpr int kStackPacketsFd = 4;   ///< SOCK_SEQPACKET: one IP packet per message
inline constexpr int kStackListenerFd = 5;  ///< TCP, listening
inline constexpr int kStackRelaysFd = 6;    ///< the first of `relays` bound UDP sockets

struct StackSettings {
  std::vector<base::Prefix> addresses;       ///< our own in the network; at least one
  std::vector<base::Prefix> routes;          ///< what the tunnel carries
  std::vector<base::IpAddress> dns_servers;  ///< none: names are refused
  std::vector<std::string> dns_search;
  std::uint32_t mtu = 1420;
  std::uint32_t relays = 0;
  /// Say ready only when this one has answered an echo; nullopt: at once.
  std::optional<base::IpAddress> echo_target;
  std::string password;  ///< what a client must know, besides the name `warren`
};

[[nodiscard]] std::string write_stack_settings(const StackSettings& settings);
/// Invalid: an unknown key, a value that does not parse, or no address or password.
[[nodiscard]] base::Result<StackSettings> parse_stack_settings(std::string_view text);

}  // namespace warren::ipc
