#include "model/role.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "model/network.hpp"

namespace warren::model {

namespace {

/// The address before this one, which is not the first of its family.
base::IpAddress previous(const base::IpAddress& address) {
  std::vector<std::uint8_t> bytes(address.bytes().begin(), address.bytes().end());
  for (std::size_t i = bytes.size(); i-- > 0;) {
    if (bytes[i]-- != 0) break;
  }
  return base::IpAddress::from_bytes(bytes).value_or(address);
}

std::uint32_t value4(const base::IpAddress& address) {
  std::uint32_t value = 0;
  for (const std::uint8_t byte : address.bytes()) value = value << 8 | byte;
  return value;
}

}  // namespace

bool is_subnet4(const AddressRange& range) {
  constexpr std::uint32_t kSmallest = 4;
  if (!range.first.is_v4()) return false;
  const std::uint32_t first = value4(range.first);
  const std::uint32_t size = value4(range.last) - first + 1;  // 0: all there are
  return size >= kSmallest && std::has_single_bit(size) && first % size == 0;
}

base::Status check_role_name(std::string_view name) {
  constexpr std::array<std::string_view, 4> kTaken{"any", "gateway", "internet", "segment"};
  WARREN_TRY(check_peer_name(name).within("role"));
  if (std::ranges::find(kTaken, name) == kTaken.end()) return {};
  return base::make_error(base::ErrorKind::Invalid,
                          "a role cannot be called \"" + std::string(name) + "\"",
                          "the word means something else in a policy: choose another name");
}

std::optional<Role> find_role(const std::vector<Role>& roles, std::string_view name) {
  const auto found = std::ranges::find(roles, name, &Role::name);
  if (found != roles.end()) return *found;
  if (name == kDefaultRole) return Role{.name = std::string(name), .range4 = {}, .range6 = {}};
  return std::nullopt;
}

base::Status check_role_address(const Role& role, const std::vector<Role>& roles,
                                const base::IpAddress& address) {
  const auto& own = role.range(address.family());
  if (own && !own->contains(address)) {
    return base::make_error(base::ErrorKind::Invalid,
                            "address " + address.to_string() + " is outside " + own->to_string() +
                                ", the range of role " + role.name,
                            "choose one inside it, or give none: the first free one is taken");
  }
  for (const Role& other : roles) {
    const auto& range = other.range(address.family());
    if (own || other.name == role.name || !range || !range->contains(address)) continue;
    return base::make_error(base::ErrorKind::Conflict,
                            "address " + address.to_string() + " lies in " + range->to_string() +
                                ", the range of role " + other.name,
                            "choose another one, or give none: the first free one is taken");
  }
  return {};
}

std::vector<AddressRange> barred_for(const Role& role, const std::vector<Role>& roles,
                                     const std::optional<base::Prefix>& subnet4,
                                     const std::optional<base::Prefix>& subnet6) {
  std::vector<AddressRange> barred;
  for (const auto& subnet : {subnet4, subnet6}) {
    if (!subnet) continue;
    const base::Family family = subnet->address.family();
    const auto& own = role.range(family);
    if (own) {
      const base::IpAddress begin = subnet->network().address;
      const base::IpAddress end = subnet->last();
      if (begin < own->first) barred.push_back({begin, previous(own->first)});
      if (own->last < end) barred.push_back({own->last.plus(1), end});
      if (is_subnet4(*own)) {
        barred.push_back({own->first, own->first});
        barred.push_back({own->last, own->last});
      }
      continue;
    }
    for (const Role& other : roles) {
      const auto& range = other.range(family);
      if (range && other.name != role.name) barred.push_back(*range);
    }
  }
  return barred;
}

}  // namespace warren::model
