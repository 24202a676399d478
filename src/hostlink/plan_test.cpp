#include "hostlink/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hostlink/limits.hpp"

namespace warren::hostlink {
namespace {

using base::Family;
using base::Prefix;
using testing::ElementsAre;
using testing::IsEmpty;

Prefix prefix(const char* text) { return Prefix::parse(text).value(); }

PlanInput input(std::vector<const char*> routes) {
  PlanInput in;
  in.addresses = {prefix("10.77.0.2/24"), prefix("fd77::2/64")};
  in.endpoints = {base::IpAddress::parse("192.0.2.2").value()};
  in.mtu = 1420;
  in.own_table = 51820;
  in.mark = 7;
  in.port = 4000;
  for (const char* route : routes) in.routes.push_back(prefix(route));
  return in;
}

TEST(Plan, RoutesBesideTheEndpointGoToTheMainTableWithoutRules) {
  const LinkPlan plan = make_plan(input({"10.77.0.0/24", "10.80.0.0/16", "fd77::/64"}));
  // What an address brings by itself is not asked for again.
  EXPECT_THAT(plan.routes, ElementsAre(PlannedRoute{.destination = prefix("10.80.0.0/16")}));
  EXPECT_THAT(plan.rules, IsEmpty());
}

TEST(Plan, ADefaultRouteGoesToItsOwnTableBehindThreeRules) {
  const LinkPlan plan = make_plan(input({"0.0.0.0/0"}));
  EXPECT_THAT(plan.routes,
              ElementsAre(PlannedRoute{.destination = prefix("0.0.0.0/0"), .table = 51820}));
  EXPECT_THAT(
      plan.rules,
      ElementsAre(
          os::Rule{.family = Family::V4, .table = kMainTable, .suppresses_default_route = true},
          os::Rule{.family = Family::V4, .table = kMainTable, .udp_source_port = 4000},
          os::Rule{.family = Family::V4, .table = 51820, .mark = 7, .inverted = true}));
}

TEST(Plan, EachFamilyIsLookedAtByItself) {
  const LinkPlan plan = make_plan(input({"10.80.0.0/16", "::/0"}));
  EXPECT_THAT(plan.routes,
              ElementsAre(PlannedRoute{.destination = prefix("10.80.0.0/16")},
                          PlannedRoute{.destination = prefix("::/0"), .table = 51820}));
  ASSERT_EQ(plan.rules.size(), 2U);
  EXPECT_EQ(plan.rules[0].family, Family::V6);
  EXPECT_TRUE(plan.rules[0].suppresses_default_route);
  EXPECT_TRUE(plan.rules[1].inverted);
}

TEST(Plan, ARouteThatHoldsAnEndpointIsTakenForADefaultRoute) {
  const LinkPlan halves = make_plan(input({"0.0.0.0/1", "128.0.0.0/1"}));
  EXPECT_THAT(halves.routes,
              ElementsAre(PlannedRoute{.destination = prefix("0.0.0.0/1")},
                          PlannedRoute{.destination = prefix("128.0.0.0/1"), .table = 51820}));
  EXPECT_EQ(halves.rules.size(), 3U);
  EXPECT_EQ(make_plan(input({"192.0.2.0/24"})).rules.size(), 3U);
}

TEST(Plan, ATableOfTheConfTakesEverythingAndOffTakesNothing) {
  PlanInput in = input({"0.0.0.0/0", "10.80.0.0/16"});
  in.table = TableChoice::parse("100").value();
  const LinkPlan plan = make_plan(in);
  EXPECT_THAT(plan.routes,
              ElementsAre(PlannedRoute{.destination = prefix("0.0.0.0/0"), .table = 100},
                          PlannedRoute{.destination = prefix("10.80.0.0/16"), .table = 100}));
  EXPECT_THAT(plan.rules, IsEmpty());
  in.table = TableChoice::parse("off").value();
  EXPECT_THAT(make_plan(in).routes, IsEmpty());
  EXPECT_TRUE(TableChoice::parse("auto").value().automatic);
  EXPECT_EQ(TableChoice::parse("vpn").error().kind, base::ErrorKind::Invalid);
}

TEST(Plan, ATableIsFreeWhenNobodyNamesIt) {
  os::Route route;
  route.table = kFirstTable;
  const os::Rule table{.priority = 5, .table = kFirstTable + 1};
  const os::Rule mark{.priority = 6, .table = 254, .mark = kFirstTable + 2};
  EXPECT_EQ(free_table({}, {}, {}), kFirstTable);
  EXPECT_EQ(free_table({route}, {table, mark}, {kFirstTable + 3}), kFirstTable + 4);
}

TEST(Plan, RulesGetPrioritiesBeforeAllOthersOfTheirFamily) {
  const std::vector<os::Rule> rules = {
      {.family = Family::V4, .priority = 0, .table = 255},
      {.family = Family::V4, .priority = 1000, .table = 10},
      {.family = Family::V4, .priority = 32766, .table = 254},
      {.family = Family::V6, .priority = 2, .table = 254},
  };
  EXPECT_EQ(first_priority(rules, Family::V4, 3), 997U);
  EXPECT_EQ(first_priority(rules, Family::V6, 3), std::nullopt);
  EXPECT_EQ(first_priority({}, Family::V6, 2), 32764U);
}

}  // namespace
}  // namespace warren::hostlink
