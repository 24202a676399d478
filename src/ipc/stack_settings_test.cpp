#include "ipc/stack_settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::ipc {
namespace {

StackSettings sample() {
  StackSettings settings;
  settings.addresses = {*base::Prefix::parse("10.77.0.2/24"), *base::Prefix::parse("fd77::2/64")};
  settings.routes = {*base::Prefix::parse("10.77.0.0/24"), *base::Prefix::parse("::/0")};
  settings.dns_servers = {*base::IpAddress::parse("10.77.0.1"), *base::IpAddress::parse("fd77::1")};
  settings.dns_search = {"lab.example", "example"};
  settings.mtu = 1300;
  settings.relays = 32;
  settings.echo_target = *base::IpAddress::parse("fd77::1");
  settings.password = "0123456789abcdef";
  return settings;
}

TEST(StackSettings, SurvivesTheWay) {
  const auto parsed = parse_stack_settings(write_stack_settings(sample()));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->addresses, sample().addresses);
  EXPECT_EQ(parsed->routes, sample().routes);
  EXPECT_EQ(parsed->dns_servers, sample().dns_servers);
  EXPECT_EQ(parsed->dns_search, sample().dns_search);
  EXPECT_EQ(parsed->mtu, 1300U);
  EXPECT_EQ(parsed->relays, 32U);
  EXPECT_EQ(parsed->echo_target, sample().echo_target);
  EXPECT_EQ(parsed->password, sample().password);
}

TEST(StackSettings, EchoTargetMayBeAbsent) {
  StackSettings settings = sample();
  settings.echo_target.reset();
  const auto parsed = parse_stack_settings(write_stack_settings(settings));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_FALSE(parsed->echo_target);
}

TEST(StackSettings, EveryCutAndEveryBadLineIsRefused) {
  const std::string text = write_stack_settings(sample());
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(parse_stack_settings(text.substr(0, size))) << size;
  }
  for (const char* line : {"mtu=0", "mtu=70000", "relays=9999", "address=10.0.0.1/33", "address=",
                           "dns_server=one", "colour=red", "nothing", "echo_target=x"}) {
    EXPECT_FALSE(parse_stack_settings(text + line + "\n")) << line;
  }
}

TEST(StackSettings, ErrorsDoNotShowThePassword) {
  const auto parsed = parse_stack_settings("password=s3cret\n");
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().message, testing::Not(testing::HasSubstr("s3cret")));
}

}  // namespace
}  // namespace warren::ipc
