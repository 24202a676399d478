#include "ipc/stack_settings.hpp"

#include "base/bytes.hpp"

namespace warren::ipc {

namespace {

constexpr std::uint32_t kMaxRelays = 256;
constexpr std::uint32_t kMinMtu = 576;
constexpr std::uint32_t kMaxMtu = 65535;

base::Error bad(std::string_view line) {
  // Without the value: it may be the password.
  return base::make_error(base::ErrorKind::Invalid,
                          "read the settings of the stack: `" +
                              std::string(line.substr(0, line.find('='))) + "` makes no sense");
}

template <typename T>
bool add(std::vector<T>& to, std::optional<T> value) {
  if (value) to.push_back(std::move(*value));
  return value.has_value();
}

bool set_number(std::uint32_t& to, std::string_view text, std::uint32_t least, std::uint32_t most) {
  const auto number = base::parse_number(text, least, most);
  if (number) to = static_cast<std::uint32_t>(*number);
  return number.has_value();
}

bool take(StackSettings& settings, std::string_view key, std::string_view value) {
  if (value.empty()) return false;
  if (key == "address") return add(settings.addresses, base::Prefix::parse(value));
  if (key == "route") return add(settings.routes, base::Prefix::parse(value));
  if (key == "dns_server") return add(settings.dns_servers, base::IpAddress::parse(value));
  if (key == "dns_search") return add(settings.dns_search, std::optional(std::string(value)));
  if (key == "mtu") return set_number(settings.mtu, value, kMinMtu, kMaxMtu);
  if (key == "relays") return set_number(settings.relays, value, 0, kMaxRelays);
  if (key == "password") {
    settings.password = value;
    return true;
  }
  if (key != "echo_target") return false;
  settings.echo_target = base::IpAddress::parse(value);
  return settings.echo_target.has_value();
}

}  // namespace

std::string write_stack_settings(const StackSettings& settings) {
  std::string text;
  const auto line = [&](std::string_view key, const std::string& value) {
    text.append(key).append("=").append(value).append("\n");
  };
  for (const base::Prefix& one : settings.addresses) line("address", one.to_string());
  for (const base::Prefix& one : settings.routes) line("route", one.to_string());
  for (const base::IpAddress& one : settings.dns_servers) line("dns_server", one.to_string());
  for (const std::string& one : settings.dns_search) line("dns_search", one);
  line("mtu", std::to_string(settings.mtu));
  line("relays", std::to_string(settings.relays));
  if (settings.echo_target) line("echo_target", settings.echo_target->to_string());
  line("password", settings.password);
  return text;
}

base::Result<StackSettings> parse_stack_settings(std::string_view text) {
  StackSettings settings;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return bad("last line");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return bad(line);
    if (!take(settings, line.substr(0, equals), line.substr(equals + 1))) return bad(line);
  }
  if (settings.addresses.empty()) return bad("address");
  if (settings.password.empty()) return bad("password");
  return settings;
}

}  // namespace warren::ipc
