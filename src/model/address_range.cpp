#include "model/address_range.hpp"

#include <algorithm>
#include <limits>

namespace warren::model {

namespace {

/// last - first + 1 for ordered addresses of one family; saturates.
std::uint64_t width(const base::IpAddress& first, const base::IpAddress& last) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const auto halves = [](const base::IpAddress& address) {
    std::pair<std::uint64_t, std::uint64_t> out{0, 0};
    const base::Bytes bytes = address.bytes();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const bool high = bytes.size() == 16 && i < 8;
      std::uint64_t& half = high ? out.first : out.second;
      half = half << 8 | bytes[i];
    }
    return out;
  };
  const auto from = halves(first);
  const auto to = halves(last);
  const std::uint64_t low = to.second - from.second;
  const std::uint64_t high = to.first - from.first - (to.second < from.second ? 1 : 0);
  return high != 0 || low == kMost ? kMost : low + 1;
}

}  // namespace

std::optional<AddressRange> AddressRange::parse(std::string_view text) {
  if (const std::size_t dash = text.find('-'); dash != std::string_view::npos) {
    const auto first = base::IpAddress::parse(text.substr(0, dash));
    const auto last = base::IpAddress::parse(text.substr(dash + 1));
    if (!first || !last || first->family() != last->family() || *last < *first) return {};
    return AddressRange{*first, *last};
  }
  const auto prefix = base::Prefix::parse(text);
  if (!prefix || !prefix->is_network()) return {};
  return AddressRange{prefix->address, prefix->last()};
}

bool AddressRange::contains(const base::IpAddress& address) const {
  return address.family() == first.family() && first <= address && address <= last;
}

std::string AddressRange::to_string() const {
  return first == last ? first.to_string() : first.to_string() + "-" + last.to_string();
}

std::uint64_t count_addresses(const std::vector<AddressRange>& ranges, const base::Prefix& subnet) {
  std::vector<AddressRange> inside;
  const base::IpAddress begin = subnet.network().address;
  for (const AddressRange& range : ranges) {
    if (range.first.family() != begin.family()) continue;
    const AddressRange cut{std::max(range.first, begin), std::min(range.last, subnet.last())};
    if (cut.first <= cut.last) inside.push_back(cut);
  }
  std::ranges::sort(inside);
  std::uint64_t count = 0;
  std::optional<base::IpAddress> counted_to;
  for (AddressRange range : inside) {
    if (counted_to && range.last <= *counted_to) continue;
    if (counted_to && range.first <= *counted_to) range.first = counted_to->plus(1);
    const std::uint64_t more = width(range.first, range.last);
    const std::uint64_t room = std::numeric_limits<std::uint64_t>::max() - count;
    count += std::min(more, room);
    counted_to = range.last;
  }
  return count;
}

}  // namespace warren::model
