// Environment: what programs of a network's members are told of its services, as variables.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "model/service.hpp"

namespace warren::model {

struct Variable {
  std::string name;
  std::string value;
  bool operator==(const Variable&) const = default;
};

/// A service's variable has a second one beside it, with this at its end, for its port.
inline constexpr std::string_view kPortSuffix = "_PORT";
/// Variables of one network.
inline constexpr std::size_t kMaxVariables = 256;

/// Whether services may have this variable: capitals, digits and underscores, at most 64; none that
/// programs, shells or linkers take their own behaviour from (PATH, LD_…, HTTP_PROXY …). Invalid
/// with the reason.
[[nodiscard]] base::Status check_variable_name(std::string_view name);
/// A host name, an address or a number: nothing that a shell, or a file of KEY=VALUE lines, reads
/// in another way.
[[nodiscard]] bool is_variable_value(std::string_view value);

/// Of each service that has a variable: who offers it, and its port where there is one. The value
/// is the service's name in `domain`; where that is empty, the peer's address as `address_of` knows
/// it, and no variable where it knows none.
[[nodiscard]] std::vector<Variable> environment_of(
    const std::vector<Service>& services, std::string_view domain,
    const std::function<std::optional<base::IpAddress>(const std::string& peer)>& address_of);

}  // namespace warren::model
