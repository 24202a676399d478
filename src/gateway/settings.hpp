// The daemon's settings: /etc/warren/warren.yaml and its drop-ins, read whole and validated.
//
// Files: the main one, then conf.d/*.yaml beside it in the order of their names; a later file
// overrides single keys of an earlier one. An absent main file means defaults. Format with every
// key: packaging/warren.yaml.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "plan/host_network.hpp"

namespace warren::gateway {

inline constexpr const char* kDefaultSettingsFile = "/etc/warren/warren.yaml";

struct LogSettings {
  base::LogLevel level = base::LogLevel::Info;
  std::map<std::string, base::LogLevel> modules;  ///< by folder name
  std::string file;                               ///< empty: standard error (the journal)
  bool operator==(const LogSettings&) const = default;
};

struct Settings {
  std::string endpoint;  ///< what members dial; empty: the address of the default route
  std::string enrol_listen = "[::]:51800";
  std::string enrol_endpoint;  ///< "host:port" in tokens; empty: endpoint and the listener's port
  std::string admin_listen;    ///< of remote administration; empty: none
  std::string admin_endpoint;  ///< "host:port" in its tokens; empty: endpoint and its port
  std::uint16_t first_port = 51820;
  std::uint16_t last_port = 52819;
  plan::TransitPool transit = default_transit();
  LogSettings log;
  std::uint32_t audit_keep_s = 0;  ///< how long records of the audit are kept; 0: for ever

  [[nodiscard]] static plan::TransitPool default_transit();
};

/// One thing that is wrong, as "FILE:LINE:COLUMN: MESSAGE".
struct SettingsProblem {
  std::string file;
  int line = 0;    ///< from 1; 0: the file as a whole
  int column = 0;  ///< from 1
  std::string message;
  [[nodiscard]] std::string to_string() const;
};

struct LoadedSettings {
  Settings settings;
  std::vector<std::string> files;  ///< what was read, in this order
  std::vector<SettingsProblem> problems;
};

/// Reads `file` and conf.d beside it; goes on past a problem, so that all are told at once. The
/// settings are of use only when there is no problem.
[[nodiscard]] LoadedSettings read_settings(const std::string& file);
/// The same, as one Result: Invalid with every problem on a line of its own.
[[nodiscard]] base::Result<Settings> load_settings(const std::string& file);
/// One document's text over `into`; for tests and the fuzzer.
void parse_settings(const std::string& file, const std::string& text, Settings& into,
                    std::vector<SettingsProblem>& problems);
/// What no single value tells: ranges and collisions between keys.
void check_settings(const std::string& file, const Settings& settings,
                    std::vector<SettingsProblem>& problems);

/// What is wrong with a value of `endpoint`, of `enrol.listen` and `admin.listen`; empty: nothing.
[[nodiscard]] std::string wrong_endpoint(const std::string& value);
[[nodiscard]] std::string wrong_listen(const std::string& value);

[[nodiscard]] std::optional<base::LogLevel> parse_log_level(std::string_view text);

}  // namespace warren::gateway
