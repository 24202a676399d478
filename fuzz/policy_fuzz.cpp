// Policies: whatever parses answers as the table that is made of it.
#include <algorithm>
#include <array>
#include <string_view>

#include "base/assert.hpp"
#include "model/policy_table.hpp"
#include "model/random_policy.hpp"

using namespace warren;
using model::testing::RandomPolicy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto roles = RandomPolicy::roles();
  const auto policy = model::Policy::parse(text, roles);
  if (!policy) {
    WARREN_ASSERT(policy.error().kind == base::ErrorKind::Invalid);
    return 0;
  }
  if (!model::check_size(*policy)) return 0;
  const auto members = RandomPolicy::members(6);
  const model::PolicyTable table = model::make_policy_table(*policy, roles, members, {});
  WARREN_ASSERT(std::ranges::is_sorted(table.rules));
  WARREN_ASSERT(table.rules.size() <= model::kMaxGroupRules);
  constexpr std::array<std::pair<std::uint8_t, std::uint16_t>, 4> kQuestions{
      {{model::kTcp, 22}, {model::kTcp, 65535}, {model::kUdp, 53}, {model::kIcmp, 0}}};
  for (const auto& from : members) {
    for (const auto& to : members) {
      for (const auto& [protocol, port] : kQuestions) {
        const auto answer =
            policy->test(RandomPolicy::subject(from), RandomPolicy::subject(to), protocol, port);
        WARREN_ASSERT(answer.allowed == table.allows(table.group_of(*from.address4),
                                                     table.group_of(*to.address4), protocol, port));
      }
    }
  }
  return 0;
}
