// What `verify` says of a host that is not as it should be: few lines for one cause, and repairs
// that can be pasted.
#include <gmock/gmock.h>

#include "control/control_fakes.hpp"

namespace warren::control {
namespace {

using testing::Gateway;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Verify, ATableThatDiffersIsOneDifferenceWithAWholeRepair) {
  Gateway gateway;
  for (const char* name : {"one", "two", "three"}) ASSERT_TRUE(gateway.create(name));
  gateway.add_member("one", "web");
  ASSERT_TRUE(gateway.control->add_forward("uid 0", "one", {.from = "8080/tcp", .peer = "web"}));
  ASSERT_THAT(gateway.control->verify("")->differences, IsEmpty());
  const auto right = gateway.host.facts;
  const std::string key = "table  " + gateway.host.environment.host_table();
  std::get<plan::Table>(gateway.host.facts.at(key)).text += "# with foreign elements\n";

  const auto report = gateway.control->verify("");
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->differences.size(), 1U);
  EXPECT_THAT(report->differences[0].what, HasSubstr("different: table"));
  EXPECT_EQ(report->differences[0].repair, "warren export | warren apply -f -");

  ASSERT_TRUE(gateway.control->repair("uid 0", "one"));
  EXPECT_EQ(gateway.host.facts, right);
}

TEST(Verify, WhatIsReallyMissingIsNamedBesideATableThatDiffers) {
  Gateway gateway;
  const auto made = gateway.create("one");
  ASSERT_TRUE(made);
  const std::string key = "table  " + gateway.host.environment.host_table();
  std::get<plan::Table>(gateway.host.facts.at(key)).text += "# with foreign elements\n";
  const auto gate = std::ranges::find_if(gateway.host.facts, [](const auto& entry) {
    return std::holds_alternative<plan::Gate>(entry.second);
  });
  ASSERT_NE(gate, gateway.host.facts.end());
  gateway.host.facts.erase(gate);
  const auto report = gateway.control->verify("");
  ASSERT_EQ(report->differences.size(), 2U);
  EXPECT_THAT(report->differences[0].what, HasSubstr("different: table"));
  EXPECT_THAT(report->differences[1].what, HasSubstr("missing: gate"));
  EXPECT_THAT(report->differences[1].repair, HasSubstr("nft add element"));
}

}  // namespace
}  // namespace warren::control
