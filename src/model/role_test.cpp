#include "model/role.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/network.hpp"

namespace warren::model {
namespace {

Role role(std::uint32_t number, const char* name, const char* range4, const char* range6 = "") {
  return {.number = number,
          .name = name,
          .range4 = AddressRange::parse(range4),
          .range6 = AddressRange::parse(range6)};
}

const auto kSubnet4 = base::Prefix::parse("10.20.0.0/16");
const auto kSubnet6 = base::Prefix::parse("fd20::/64");

std::string first_of(const Role& wanted, const std::vector<Role>& roles, bool v4 = true) {
  const auto barred = barred_for(wanted, roles, kSubnet4, kSubnet6);
  const auto next = next_free_address(v4 ? *kSubnet4 : *kSubnet6, {}, std::nullopt, barred);
  return next ? next->to_string() : "none";
}

TEST(Role, TakesItsAddressesFromItsOwnRange) {
  const Role node = role(1, "node", "10.20.1.0/24", "fd20::1:0-fd20::1:ffff");
  const Role ends = role(2, "ends", "10.20.0.0/29", "fd20:0:0:0:ffff::/80");
  const Role other = *find_role({node, ends}, "member");
  EXPECT_EQ(first_of(node, {node, ends}), "10.20.1.1");
  EXPECT_EQ(first_of(node, {node, ends}, false), "fd20::1:0");
  EXPECT_EQ(first_of(ends, {node, ends}), "10.20.0.2");
  EXPECT_EQ(first_of(ends, {node, ends}, false), "fd20::ffff:0:0:0");
  EXPECT_EQ(first_of(other, {node, ends}), "10.20.0.8");
  EXPECT_EQ(first_of(other, {node, ends}, false), "fd20::2");
  const Role one = role(3, "one", "10.20.0.1-10.20.0.1");
  EXPECT_EQ(first_of(one, {one}), "none");
}

/// All that a role's members are given.
std::string all_of(const Role& wanted) {
  const auto barred = barred_for(wanted, {wanted}, kSubnet4, kSubnet6);
  std::vector<base::IpAddress> taken;
  std::string all;
  while (const auto next = next_free_address(*kSubnet4, taken, std::nullopt, barred)) {
    taken.push_back(*next);
    all += (all.empty() ? "" : " ") + next->to_string();
  }
  return all;
}

TEST(Role, TheEndsOfASubnetAreNotGiven) {
  EXPECT_EQ(all_of(role(1, "a", "10.20.1.0/30")), "10.20.1.1 10.20.1.2");
  EXPECT_EQ(all_of(role(1, "a", "10.20.1.252-10.20.1.255")), "10.20.1.253 10.20.1.254");
  // Not of a subnet's size, or not where one begins: they are meant as they are written.
  EXPECT_EQ(all_of(role(1, "a", "10.20.1.0-10.20.1.2")), "10.20.1.0 10.20.1.1 10.20.1.2");
  EXPECT_EQ(all_of(role(1, "a", "10.20.1.254-10.20.2.1")),
            "10.20.1.254 10.20.1.255 10.20.2.0 10.20.2.1");
  EXPECT_EQ(all_of(role(1, "a", "10.20.1.0/31")), "10.20.1.0 10.20.1.1");
  EXPECT_EQ(all_of(role(1, "a", "10.20.1.0/32")), "10.20.1.0");
}

TEST(Role, TheDefaultRoleIsThereUnlessItIsListed) {
  EXPECT_EQ(find_role({}, "member")->number, 0U);
  EXPECT_FALSE(find_role({}, "node"));
  EXPECT_EQ(find_role({role(0, "member", "10.0.0.1")}, "member")->range4->to_string(), "10.0.0.1");
  for (const char* word : {"any", "gateway", "internet", "", "No", "a b"}) {
    EXPECT_FALSE(check_role_name(word)) << word;
  }
  EXPECT_TRUE(check_role_name("node"));
}

}  // namespace
}  // namespace warren::model
