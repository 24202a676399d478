// What all clients of one proxy share.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ipc/stack_settings.hpp"
#include "os/fd.hpp"
#include "os/loop.hpp"
#include "proxy/resolver.hpp"
#include "proxy/stack.hpp"
#include "proxy/target.hpp"

namespace warren::proxy {

class Connection;

inline constexpr std::string_view kUserName = "warren";

/// A UDP socket on the loopback that an association may have.
struct Relay {
  os::Fd socket;
  base::Endpoint at;
};

struct Services {
  os::Loop& loop;
  Stack& stack;
  Resolver& resolver;
  const ipc::StackSettings& settings;
  std::vector<Relay> relays;                   ///< that no association has
  std::function<void(Connection&)> attention;  ///< proceed() it when this turn's handlers are done
  std::vector<std::uint8_t> room;              ///< for one read, kMaxDatagram or more

  /// Why an address cannot be reached through the tunnel; nullopt: it may be tried.
  [[nodiscard]] std::optional<Failure> refusal_of(const base::IpAddress& address) const;
  /// The same for a name, before it is looked up.
  [[nodiscard]] std::optional<Failure> refusal_of(const std::string& name) const;
  [[nodiscard]] bool is_login(const std::string& name, const std::string& password) const;
  /// Of "Proxy-Authorization: Basic".
  [[nodiscard]] bool are_credentials(const std::string& base64) const;
};

}  // namespace warren::proxy
