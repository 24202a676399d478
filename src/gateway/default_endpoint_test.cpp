#include "gateway/default_endpoint.hpp"

#include <gtest/gtest.h>

namespace warren::gateway {
namespace {

os::Route route(const char* destination, std::uint32_t link, std::uint32_t table = 254) {
  return {.destination = *base::Prefix::parse(destination), .link = link, .table = table};
}
os::LinkAddress at(std::uint32_t link, const char* prefix) {
  return {.link = link, .prefix = *base::Prefix::parse(prefix)};
}
std::string chosen(const std::vector<os::Route>& routes,
                   const std::vector<os::LinkAddress>& addresses) {
  const auto address = choose_endpoint(routes, addresses);
  return address ? address->to_string() : "none";
}

TEST(DefaultEndpoint, IsTheAddressOfTheDefaultRoutesLink) {
  EXPECT_EQ(chosen({route("10.0.0.0/8", 3), route("0.0.0.0/0", 2)},
                   {at(1, "127.0.0.1/8"), at(3, "10.0.0.1/8"), at(2, "192.0.2.7/24")}),
            "192.0.2.7");
}

TEST(DefaultEndpoint, PrefersIpv4ThenGlobalIpv6) {
  const std::vector<os::LinkAddress> addresses = {at(2, "fe80::1/64"), at(2, "fd00::1/64"),
                                                  at(2, "2001:db8::1/64")};
  EXPECT_EQ(chosen({route("::/0", 2)}, addresses), "2001:db8::1");
  EXPECT_EQ(chosen({route("::/0", 2), route("0.0.0.0/0", 4)}, addresses), "2001:db8::1");
  EXPECT_EQ(chosen({route("::/0", 2)}, {at(2, "fe80::1/64"), at(2, "fd00::1/64")}), "fd00::1");
}

TEST(DefaultEndpoint, IsNoneWithoutADefaultRoute) {
  EXPECT_EQ(chosen({route("10.0.0.0/8", 2)}, {at(2, "10.0.0.1/8")}), "none");
  EXPECT_EQ(chosen({route("0.0.0.0/0", 2, 100)}, {at(2, "10.0.0.1/8")}), "none");
  EXPECT_EQ(chosen({route("0.0.0.0/0", 2)}, {at(2, "169.254.0.1/16")}), "none");
}

}  // namespace
}  // namespace warren::gateway
