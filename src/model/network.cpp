// The rules of names, subnets and addresses.
//
// Everything here is a pure check or a pure choice. The address plan of a subnet: the network
// address is nobody's, the one after it is the gateway's unless another was chosen, peers get the
// others in order but for those reserved, and in IPv4 the last address stays the broadcast address.
// A freed address is given out again as soon as it is the lowest free one.
#include "model/network.hpp"

#include <algorithm>
#include <span>

#include "base/bytes.hpp"

namespace warren::model {

namespace {

constexpr std::size_t kMaxNetworkName = 15;
constexpr std::size_t kMaxPeerName = 63;

/// Ranges that no member may have: this host, loopback, link-local, multicast, IPv4 written as
/// IPv6.
constexpr std::array<std::string_view, 4> kUnusable4{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16",
                                                     "224.0.0.0/3"};
constexpr std::array<std::string_view, 4> kUnusable6{"::/96", "::ffff:0:0/96", "fe80::/10",
                                                     "ff00::/8"};

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<base::IpAddress> first_host(const std::optional<base::Prefix>& subnet) {
  if (!subnet) return std::nullopt;
  return subnet->network().address.plus(1);
}

/// A name inside an error message: whole when short, and never with control characters.
std::string quoted(std::string_view name) {
  constexpr std::size_t kShown = 80;
  std::string out = "\"";
  for (const char c : name.substr(0, kShown)) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  return out + (name.size() > kShown ? "…\"" : "\"");
}

base::Error subnet_error(const base::Prefix& subnet, std::string_view why, std::string hint) {
  return base::make_error(base::ErrorKind::Invalid,
                          "subnet " + subnet.to_string() + ": " + std::string(why),
                          std::move(hint));
}

}  // namespace

std::string NetworkId::hex() const {
  const std::array<std::uint8_t, 4> bytes{
      static_cast<std::uint8_t>(value >> 24), static_cast<std::uint8_t>(value >> 16),
      static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
  return base::to_hex(bytes);
}

std::optional<base::IpAddress> Network::gateway4() const {
  return chosen_gateway4 ? chosen_gateway4 : first_host(subnet4);
}
std::optional<base::IpAddress> Network::gateway6() const {
  return chosen_gateway6 ? chosen_gateway6 : first_host(subnet6);
}

std::string_view to_string(PeerState state) {
  switch (state) {
    case PeerState::Invited:
      return "invited";
    case PeerState::Enrolled:
      return "enrolled";
    case PeerState::Revoked:
      return "revoked";
  }
  return "revoked";
}

std::optional<PeerState> parse_peer_state(std::string_view text) {
  for (const PeerState state : {PeerState::Invited, PeerState::Enrolled, PeerState::Revoked}) {
    if (text == to_string(state)) return state;
  }
  return std::nullopt;
}

base::Status check_network_name(std::string_view name) {
  const bool good =
      !name.empty() && name.size() <= kMaxNetworkName && is_lower(name.front()) &&
      std::ranges::all_of(name, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
  if (good) return {};
  return base::make_error(base::ErrorKind::Invalid,
                          "network name " + quoted(name) + " is not valid",
                          "a network name is 1 to 15 characters of a-z, 0-9 and -, and starts with "
                          "a letter");
}

base::Status check_peer_name(std::string_view name) {
  const bool good = !name.empty() && name.size() <= kMaxPeerName &&
                    (is_lower(name.front()) || is_digit(name.front())) &&
                    std::ranges::all_of(name, [](char c) {
                      return is_lower(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
                    });
  if (good) return {};
  return base::make_error(base::ErrorKind::Invalid, "peer name " + quoted(name) + " is not valid",
                          "a peer name is 1 to 63 characters of a-z, 0-9, dot, _ and -, and starts "
                          "with a letter or a digit");
}

base::Status check_subnet(const base::Prefix& subnet) {
  const bool v4 = subnet.address.is_v4();
  const unsigned shortest = v4 ? 8 : 16;
  const unsigned longest = v4 ? 30 : 126;
  if (subnet.length < shortest || subnet.length > longest) {
    return subnet_error(subnet, "its length is not usable",
                        v4 ? "choose an IPv4 length from /8 to /30, for example 10.20.0.0/24"
                           : "choose an IPv6 length from /16 to /126, for example fd12:3456::/64");
  }
  if (!subnet.is_network()) {
    return subnet_error(subnet, "it has bits set after its length",
                        "did you mean " + subnet.network().to_string() + "?");
  }
  // A subnet that merely contains such a range (0.0.0.0/8, fe00::/8 …) is no better.
  const auto overlaps = [&subnet](std::string_view text) {
    const auto reserved = base::Prefix::parse(text);
    return reserved && reserved->overlaps(subnet);
  };
  for (const std::string_view range : v4 ? std::span(kUnusable4) : std::span(kUnusable6)) {
    if (overlaps(range)) {
      return subnet_error(
          subnet, "it overlaps " + std::string(range) + ", which cannot be used for members",
          v4 ? "choose a private range inside 10.0.0.0/8, 172.16.0.0/12 or "
               "192.168.0.0/16"
             : "choose a range inside fd00::/8");
    }
  }
  return {};
}

base::Status check_member_address(const Network& network, const base::IpAddress& address) {
  const std::optional<base::Prefix>& subnet = address.is_v4() ? network.subnet4 : network.subnet6;
  if (!subnet || !subnet->contains(address)) {
    std::string ranges;
    for (const auto& range : {network.subnet4, network.subnet6}) {
      if (range) ranges += (ranges.empty() ? "" : " or ") + range->to_string();
    }
    return base::make_error(
        base::ErrorKind::Invalid,
        "address " + address.to_string() + " is outside network " + network.name,
        "choose one inside " + ranges + ", or leave --address out: the first free one is taken");
  }
  const base::Prefix range = subnet->network();
  if (address == range.address || (address.is_v4() && address == range.last())) {
    return base::make_error(base::ErrorKind::Invalid,
                            "address " + address.to_string() +
                                " is the network or broadcast address of " + range.to_string(),
                            "choose one between them");
  }
  if (address == (address.is_v4() ? network.gateway4() : network.gateway6())) {
    return base::make_error(base::ErrorKind::Conflict,
                            "address " + address.to_string() + " is the gateway's own",
                            "choose another one");
  }
  for (const AddressRange& reserved : network.reserved) {
    if (!reserved.contains(address)) continue;
    return base::make_error(
        base::ErrorKind::Conflict,
        "address " + address.to_string() + " lies in the reserved range " + reserved.to_string(),
        "choose another one, or change the range: warren network set " + network.name +
            " --reserve RANGE");
  }
  return {};
}

std::optional<base::IpAddress> next_free_address(const base::Prefix& subnet,
                                                 const std::vector<base::IpAddress>& taken,
                                                 const std::optional<base::IpAddress>& gateway,
                                                 const std::vector<AddressRange>& reserved) {
  const base::Prefix network = subnet.network();
  const base::IpAddress last = network.last();
  // What is not to be had, as ranges in order: walking them side by side with the candidate costs
  // one step each, however wide they are.
  std::vector<AddressRange> barred = reserved;
  for (const base::IpAddress& address : taken) barred.push_back({address, address});
  const base::IpAddress own = gateway.value_or(network.address.plus(1));
  barred.push_back({own, own});
  if (last.is_v4()) barred.push_back({last, last});
  std::ranges::sort(barred);
  base::IpAddress candidate = network.address.plus(1);
  for (const AddressRange& range : barred) {
    if (range.last < candidate || range.first.family() != candidate.family()) continue;
    if (candidate < range.first) break;
    if (range.last >= last) return std::nullopt;
    candidate = range.last.plus(1);
  }
  return candidate;
}

base::Status check_gateway_address(const base::Prefix& subnet, const base::IpAddress& address) {
  const base::Prefix network = subnet.network();
  const bool nobodys = address == network.address || (address.is_v4() && address == network.last());
  if (network.contains(address) && !nobodys) return {};
  return base::make_error(
      base::ErrorKind::Invalid,
      "gateway address " + address.to_string() + ": it " +
          (nobodys ? "is the network's or the broadcast address" : "lies outside") + " of subnet " +
          network.to_string(),
      "choose one like " + network.address.plus(1).to_string());
}

}  // namespace warren::model
