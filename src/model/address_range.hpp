// AddressRange: addresses from one to another, as an administrator names those that no member gets.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"

namespace warren::model {

/// Both ends belong to it; they are of one family and in order.
struct AddressRange {
  base::IpAddress first;
  base::IpAddress last;

  /// "10.20.0.10-10.20.0.19", "10.20.0.16/28" (a network prefix) or one address.
  [[nodiscard]] static std::optional<AddressRange> parse(std::string_view text);
  [[nodiscard]] bool contains(const base::IpAddress& address) const;
  /// "A-B", or "A" when it is one address.
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const AddressRange&) const = default;
};

/// How many addresses lie in the ranges and in the subnet, each once; saturates at 2^64 - 1.
[[nodiscard]] std::uint64_t count_addresses(const std::vector<AddressRange>& ranges,
                                            const base::Prefix& subnet);

}  // namespace warren::model
