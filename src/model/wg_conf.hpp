// WireGuard conf files: the only codec of the INI format that wg(8) and wg-quick(8) read
// (docs/formats/profile.md). Pure: text in, values out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/key.hpp"
#include "base/result.hpp"
#include "model/conf_key.hpp"

namespace warren::model {

/// A command line of wg-quick ("PostUp = iptables …"), kept as it stands. Nothing of ours runs it.
struct ConfHook {
  std::string key;  ///< "PreUp", "PostUp", "PreDown" or "PostDown"
  std::string command;
};

struct ConfInterface {
  ConfKey private_key;
  std::vector<base::Prefix> addresses;  ///< host bits kept: "10.0.0.2/24"
  std::optional<std::uint16_t> listen_port;
  std::uint32_t fwmark = 0;  ///< 0: off
  std::vector<base::IpAddress> dns_servers;
  std::vector<std::string> dns_search;
  std::optional<std::uint32_t> mtu;
  std::string table;  ///< as written: empty, "auto", "off" or a number
  bool save_config = false;
  std::vector<ConfHook> hooks;  ///< in the order of the file
};

struct ConfPeer {
  base::PublicKey public_key;
  std::optional<ConfKey> preshared_key;
  std::vector<base::Prefix> allowed_ips;                ///< host bits cleared, as the kernel does
  std::optional<base::HostPort> endpoint;               ///< the host may be a name
  std::optional<std::uint16_t> persistent_keepalive_s;  ///< 0: written as "off"
};

inline constexpr std::size_t kMaxConfBytes = 4 << 20;

struct WgConf {
  ConfInterface interface;
  std::vector<ConfPeer> peers;

  /// Reads a conf with the semantics of wg-quick: keys and sections of any case, '#' starts a
  /// comment, lists may be split over several lines. Errors are "FILE:LINE: …" (Invalid) with a
  /// hint; `file_name` is used for nothing else. Never quotes a secret.
  [[nodiscard]] static base::Result<WgConf> parse(std::string_view text,
                                                  std::string_view file_name);
  /// A stock conf that wg-quick accepts. It holds the private key: wipe it after use.
  [[nodiscard]] std::string write() const;
  /// As `write`, with this line in place of the private key: for a member that holds its key
  /// itself.
  [[nodiscard]] std::string write_without_key(std::string_view line) const;
};

}  // namespace warren::model
