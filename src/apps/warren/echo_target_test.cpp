#include "apps/warren/echo_target.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace warren::app {
namespace {

/// The target in a conf with these lines, or "nobody".
std::string target_of(const std::string& interface, const std::string& allowed,
                      const std::vector<std::string>& gateways = {}) {
  const std::string key = "Y" + std::string(42, 'A');
  const auto conf =
      model::WgConf::parse("[Interface]\nPrivateKey = " + key + "=\n" + interface +
                               "[Peer]\nPublicKey = " + key + "=\nAllowedIPs = " + allowed + "\n",
                           "test.conf");
  if (!conf) return conf.error().message;
  std::vector<base::IpAddress> known;
  for (const std::string& text : gateways) known.push_back(*base::IpAddress::parse(text));
  const auto target = choose_echo_target(*conf, known);
  return target ? target->to_string() : "nobody";
}

TEST(EchoTarget, AKnownGatewayComesBeforeEverybody) {
  const std::string interface = "Address = 10.20.0.2/24\nDNS = 10.20.0.5\n";
  EXPECT_EQ(target_of(interface, "10.20.0.0/24", {"10.20.0.254"}), "10.20.0.254");
  EXPECT_EQ(target_of(interface, "10.20.0.0/24", {"fd00::1", "10.20.0.254"}), "10.20.0.254")
      << "who is not reached by AllowedIPs is passed over";
  EXPECT_EQ(target_of(interface, "10.20.0.0/24", {"10.20.0.2"}), "10.20.0.5")
      << "nobody asks himself";
}

TEST(EchoTarget, OtherwiseTheNameServerThenTheFirstHost) {
  EXPECT_EQ(target_of("Address = 10.20.0.2/24\nDNS = 9.9.9.9, 10.20.0.5\n", "10.20.0.0/24"),
            "10.20.0.5");
  EXPECT_EQ(target_of("Address = 10.20.0.2/24\n", "0.0.0.0/0"), "10.20.0.1");
  EXPECT_EQ(target_of("Address = 10.20.0.2/32\n", "10.30.0.0/24"), "10.30.0.1");
  EXPECT_EQ(target_of("Address = 10.20.0.2/32\n", "10.30.0.7/32"), "10.30.0.7");
}

TEST(EchoTarget, NobodyWhereOnlyThisMemberIsDescribed) {
  EXPECT_EQ(target_of("Address = 10.20.0.2/32\n", "10.20.0.2/32"), "nobody");
  EXPECT_EQ(target_of("Address = 10.20.0.2/32\n", "0.0.0.0/0"), "nobody");
}

}  // namespace
}  // namespace warren::app
