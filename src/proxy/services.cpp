#include "proxy/services.hpp"

#include <algorithm>

#include "crypto/secret.hpp"

namespace warren::proxy {

namespace {

bool equal(const std::string& given, const std::string& wanted) {
  return crypto::equal_constant_time(base::as_bytes(given), base::as_bytes(wanted));
}

}  // namespace

std::optional<Failure> Services::refusal_of(const base::IpAddress& address) const {
  const base::IpAddress* own = stack.own_address(address.family());
  const bool is_own = std::ranges::any_of(
      settings.addresses, [&](const base::Prefix& one) { return one.address == address; });
  if (is_own || address.is_loopback() || address.is_multicast() || address.is_unspecified()) {
    return Failure::OwnAddress;
  }
  if (own == nullptr) return Failure::NoFamily;
  const bool routed = std::ranges::any_of(
      settings.routes, [&](const base::Prefix& one) { return one.contains(address); });
  return routed ? std::nullopt : std::optional(Failure::NotRouted);
}

std::optional<Failure> Services::refusal_of(const std::string& name) const {
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (lower.ends_with('.')) lower.pop_back();
  if (lower == "localhost" || lower.ends_with(".localhost")) return Failure::OwnAddress;
  return settings.dns_servers.empty() ? std::optional(Failure::NoDns) : std::nullopt;
}

bool Services::is_login(const std::string& name, const std::string& password) const {
  return name == kUserName && equal(password, settings.password);
}

bool Services::are_credentials(const std::string& base64) const {
  const std::string wanted = std::string(kUserName) + ":" + settings.password;
  return equal(base64, base::to_base64(base::as_bytes(wanted)));
}

}  // namespace warren::proxy
