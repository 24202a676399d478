#include "ipc/anyconnect.hpp"

#include <algorithm>

#include "crypto/secret.hpp"

namespace warren::ipc {

namespace {

using base::ErrorKind;
using base::make_error;

// IPv6 needs 1280; more than this no packet has.
constexpr std::uint32_t kMinMtu = 576;
constexpr std::uint32_t kMaxMtu = 65535;

base::Error malformed(const std::string& what) {
  return make_error(ErrorKind::Invalid, "the AnyConnect server sent " + what);
}

template <typename T>
base::Result<std::vector<T>> parse_all(const AnyConnectMessage& message, const char* key,
                                       std::size_t most) {
  std::vector<T> out;
  for (const std::string& text : message.all(key)) {
    const auto value = T::parse(text);
    if (!value) return malformed(std::string("`") + text + "` as " + key);
    out.push_back(*value);
  }
  if (out.size() > most) return malformed("too many values of " + std::string(key));
  return out;
}

/// It becomes a word of resolv.conf.
bool is_domain(const std::string& text) {
  return !text.empty() && text.size() <= 253 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

bool is_usable(const base::Prefix& own) {
  return !own.address.is_unspecified() && !own.address.is_loopback() &&
         !own.address.is_multicast() && own.length != 0;
}

}  // namespace

AnyConnectMessage& AnyConnectMessage::add(std::string key, std::string value) {
  fields.emplace_back(std::move(key), std::move(value));
  return *this;
}

std::string AnyConnectMessage::get(const std::string& key) const {
  const auto found =
      std::ranges::find_if(fields, [&](const auto& field) { return field.first == key; });
  return found == fields.end() ? std::string() : found->second;
}

std::vector<std::string> AnyConnectMessage::all(const std::string& key) const {
  std::vector<std::string> out;
  for (const auto& [name, value] : fields) {
    if (name == key) out.push_back(value);
  }
  return out;
}

void AnyConnectMessage::wipe() {
  for (auto& [name, value] : fields) {
    crypto::wipe({reinterpret_cast<std::uint8_t*>(value.data()), value.size()});
  }
  fields.clear();
}

base::Result<std::vector<std::uint8_t>> write_anyconnect(const AnyConnectMessage& message) {
  std::vector<std::uint8_t> out(1, static_cast<std::uint8_t>(message.type));
  for (const auto& [key, value] : message.fields) {
    if (value.find('\0') != std::string::npos) {
      return make_error(ErrorKind::Invalid, "the value of " + key + " holds a zero byte");
    }
    out.insert(out.end(), key.begin(), key.end());
    out.push_back('=');
    out.insert(out.end(), value.begin(), value.end());
    out.push_back(0);
  }
  if (out.size() > kMaxAnyConnectMessage) {
    return make_error(ErrorKind::Invalid, "a message of the AnyConnect session is too long");
  }
  return out;
}

base::Result<AnyConnectMessage> parse_anyconnect(base::Bytes bytes) {
  const auto bad = [] {
    return make_error(ErrorKind::Invalid, "a message of the AnyConnect session is malformed");
  };
  if (bytes.empty() || (bytes.size() > 1 && bytes.back() != 0)) return bad();
  AnyConnectMessage message{.type = static_cast<AnyConnectType>(bytes[0]), .fields = {}};
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()) + 1, bytes.size() - 1);
  while (!rest.empty()) {
    const std::string_view field = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(field.size() + 1);
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos || equals == 0) return bad();
    message.add(std::string(field.substr(0, equals)), std::string(field.substr(equals + 1)));
  }
  return message;
}

AnyConnectMessage write_session(const AnyConnectSession& session) {
  AnyConnectMessage message{.type = AnyConnectType::Session, .fields = {}};
  for (const auto& address : session.addresses) message.add("address", address.to_string());
  for (const auto& server : session.dns_servers) message.add("dns", server.to_string());
  for (const auto& domain : session.dns_search) message.add("search", domain);
  for (const auto& prefix : session.includes) message.add("include", prefix.to_string());
  for (const auto& prefix : session.excludes) message.add("exclude", prefix.to_string());
  message.add("mtu", std::to_string(session.mtu));
  message.add("cookie", session.cookie);
  message.add("pin", session.pin);
  return message;
}

base::Result<AnyConnectSession> parse_session(const AnyConnectMessage& message) {
  AnyConnectSession session;
  WARREN_TRY_ASSIGN(session.addresses,
                    parse_all<base::Prefix>(message, "address", kMaxSessionNames));
  if (session.addresses.empty()) return malformed("no address");
  for (const base::Prefix& own : session.addresses) {
    if (!is_usable(own)) return malformed("the address " + own.to_string());
  }
  WARREN_TRY_ASSIGN(session.dns_servers,
                    parse_all<base::IpAddress>(message, "dns", kMaxSessionNames));
  session.dns_search = message.all("search");
  if (session.dns_search.size() > kMaxSessionNames) return malformed("too many search domains");
  for (const std::string& domain : session.dns_search) {
    if (!is_domain(domain)) return malformed("a search domain that is no name");
  }
  WARREN_TRY_ASSIGN(session.includes, parse_all<base::Prefix>(message, "include", kMaxSplitRoutes));
  WARREN_TRY_ASSIGN(session.excludes, parse_all<base::Prefix>(message, "exclude", kMaxSplitRoutes));
  const auto mtu = base::parse_number(message.get("mtu"), kMinMtu, kMaxMtu);
  if (!mtu) return malformed("the MTU `" + message.get("mtu") + "`");
  session.mtu = static_cast<std::uint32_t>(*mtu);
  session.cookie = message.get("cookie");
  session.pin = message.get("pin");
  return session;
}

AnyConnectMessage write_failure(const base::Error& error) {
  AnyConnectMessage message{.type = AnyConnectType::Failure, .fields = {}};
  message.add("kind", std::to_string(static_cast<int>(error.kind)));
  message.add("message", error.message);
  message.add("hint", error.hint);
  return message;
}

base::Error parse_failure(const AnyConnectMessage& message) {
  const auto kinds = static_cast<std::uint64_t>(ErrorKind::Internal);
  const auto kind = base::parse_number(message.get("kind"), 0, kinds).value_or(0);
  return make_error(static_cast<ErrorKind>(kind), message.get("message"), message.get("hint"));
}

}  // namespace warren::ipc
