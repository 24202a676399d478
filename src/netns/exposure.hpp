// A port of the program inside a run that the host's side may reach.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::netns {

struct Exposure {
  base::Endpoint listen;   ///< on the host
  std::uint16_t port = 0;  ///< inside
  bool tcp = true;
  std::vector<base::Prefix> allowed;  ///< of who may connect; empty: everybody who reaches `listen`

  /// "[ADDRESS:]PORT:PORT[/tcp|udp]"; without an address 127.0.0.1. Invalid says what is wrong.
  [[nodiscard]] static base::Result<Exposure> parse(const std::string& text);
  /// "127.0.0.1:8080:80/tcp".
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool admits(const base::IpAddress& client) const;
};

/// The host's side of it, non-blocking; TCP listens already. Errors carry a hint.
[[nodiscard]] base::Result<os::Fd> open_listener(const Exposure& exposure);

}  // namespace warren::netns
