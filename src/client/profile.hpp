// A user's profiles: NAME.conf, a stock WireGuard conf, and NAME.warren.json beside it with what a
// conf cannot hold. Both 0600, in a directory of mode 0700 (docs/formats/profile-note.md).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "model/environment.hpp"
#include "model/wg_conf.hpp"

namespace warren::client {

/// The content of NAME.warren.json. No secrets.
struct ProfileNote {
  std::string network;
  std::string peer;                       ///< our name in the network
  std::vector<base::IpAddress> gateways;  ///< answer echo requests inside the tunnel
  std::string endpoint;                   ///< "host:port" of the gateway
  std::string enrol_at;                   ///< "host:port" we enrolled at
  std::array<std::uint8_t, 32> pin{};     ///< of the gateway's identity key
  std::string joined_with;                ///< the ID of our token; empty: not known
  std::string revision;  ///< of the gateway's word that the conf is made of; empty: not known
  std::vector<model::Variable> environment;  ///< what programs are told of the network's services

  [[nodiscard]] std::string write() const;
  /// Invalid names the key at fault.
  [[nodiscard]] static base::Result<ProfileNote> parse(std::string_view text);
};

/// $XDG_CONFIG_HOME/warren, else ~/.config/warren, where ~ is $HOME or the user database's.
[[nodiscard]] base::Result<std::string> profile_directory();

/// What wg-quick takes as an interface name: [A-Za-z0-9_=+.-]{1,15}, and no leading dot or dash.
[[nodiscard]] base::Status check_profile_name(std::string_view name);

struct ProfilePaths {
  std::string conf;
  std::string note;
};
[[nodiscard]] ProfilePaths profile_paths(const std::string& directory, const std::string& name);

/// Reads the note of a profile; nullopt when there is none (a conf that warren did not write).
[[nodiscard]] base::Result<std::optional<ProfileNote>> read_note(const std::string& directory,
                                                                 const std::string& name);
/// Writes conf and note, each atomically, 0600; the directory is made 0700 when missing. Conflict
/// when a profile of this name exists. Nothing is left when one of them cannot be written.
[[nodiscard]] base::Status write_profile(const std::string& directory, const std::string& name,
                                         const model::WgConf& conf, const ProfileNote& note);
/// Removes conf, note and what there is of the member's certificate, and says which files that
/// were. NotFound unless the profile was made by `join`: a conf that somebody else put there is not
/// ours to delete.
[[nodiscard]] base::Result<std::vector<std::string>> remove_profile(const std::string& directory,
                                                                    const std::string& name);
/// The names of all *.conf in the directory, sorted.
[[nodiscard]] base::Result<std::vector<std::string>> list_profiles(const std::string& directory);

}  // namespace warren::client
