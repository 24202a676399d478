// Variables come to a member from its gateway, which it does not have to trust with more than its
// packets: what is no plain name, or no plain value, is not taken (check_variable_name says which).
#include "model/environment.hpp"

#include <algorithm>
#include <array>

namespace warren::model {

namespace {

constexpr std::size_t kLongestName = 64;
constexpr std::size_t kLongestValue = 255;

/// What decides how programs behave, rather than whom they talk to.
constexpr auto kReserved = std::to_array<std::string_view>(
    {"PATH",        "HOME",        "USER",   "LOGNAME", "SHELL",   "TERM",    "PWD",
     "OLDPWD",      "IFS",         "ENV",    "CDPATH",  "TMPDIR",  "LANG",    "TZ",
     "PS4",         "PAGER",       "EDITOR", "VISUAL",  "BROWSER", "DISPLAY", "HOSTALIASES",
     "LOCALDOMAIN", "RES_OPTIONS", "MAIL",   "PYTHON",  "PERL",    "RUBYLIB"});
constexpr auto kReservedBeginnings = std::to_array<std::string_view>(
    {"LD_", "GLIBC_", "MALLOC_", "GCONV_", "BASH_", "LC_", "XDG_", "DBUS_", "WARREN_", "WG_",
     "PYTHON", "PERL5", "NODE_", "SSL_", "OPENSSL", "GIT_", "SSH_", "RUBY"});
constexpr auto kReservedEnds = std::to_array<std::string_view>({"_PROXY", "_PRELOAD"});

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_reserved(std::string_view name) {
  const auto begins = [&](std::string_view with) { return name.starts_with(with); };
  const auto ends = [&](std::string_view with) { return name.ends_with(with); };
  return std::ranges::find(kReserved, name) != kReserved.end() ||
         std::ranges::any_of(kReservedBeginnings, begins) ||
         std::ranges::any_of(kReservedEnds, ends);
}

}  // namespace

base::Status check_variable_name(std::string_view name) {
  const auto allowed = [](char c) { return (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_'; };
  if (name.empty() || name.size() > kLongestName || is_digit(name.front()) ||
      !std::ranges::all_of(name, allowed)) {
    return base::make_error(base::ErrorKind::Invalid,
                            "'" + std::string(name.substr(0, kLongestName)) +
                                "' cannot be the name of a service's variable",
                            "use capital letters, digits and underscores: MQTT_BROKER");
  }
  if (!is_reserved(name)) return {};
  return base::make_error(base::ErrorKind::Invalid,
                          std::string(name) + " means something else to programs",
                          "choose another, such as MQTT_BROKER");
}

bool is_variable_value(std::string_view value) {
  return !value.empty() && value.size() <= kLongestValue && value.front() != '-' &&
         std::ranges::all_of(value, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' ||
                  c == '-' || c == '_' || c == ':';
         });
}

std::vector<Variable> environment_of(
    const std::vector<Service>& services, std::string_view domain,
    const std::function<std::optional<base::IpAddress>(const std::string& peer)>& address_of) {
  std::vector<Variable> out;
  for (const Service& service : services) {
    if (service.env.empty() || service.peer.empty()) continue;
    std::string host = service.name + "." + std::string(domain);
    if (domain.empty()) {
      const auto address = address_of(service.peer);
      if (!address) continue;
      host = address->to_string();
    }
    out.push_back({service.env, std::move(host)});
    const auto one = std::ranges::find_if(
        service.ports, [](const PortRange& range) { return range.first_port == range.last_port; });
    if (one == service.ports.end()) continue;
    out.push_back({service.env + std::string(kPortSuffix), std::to_string(one->first_port)});
  }
  return out;
}

}  // namespace warren::model
