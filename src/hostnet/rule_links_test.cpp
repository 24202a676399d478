#include "hostnet/rule_links.hpp"

#include <gmock/gmock.h>

namespace warren::hostnet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(RuleLinks, TellsWhoseARuleIs) {
  for (const char* rule :
       {"udp dport 51820 drop", "drop", "oifname \"eth0\" drop", "iifname @outside drop",
        "iifname != \"lo\" drop", "iifname != { \"lo\", \"ppp*\" } drop", "iif != \"eth1\" drop"})
    EXPECT_EQ(reach_of(rule, "eth0"), RuleReach::Any) << rule;
  for (const char* rule :
       {"iifname \"eth0\" drop", "iifname \"eth*\" udp dport 51820 drop", "iif \"eth0\" drop",
        "ip saddr 192.0.2.0/24 iifname \"eth0\" reject", "iifname { \"ppp0\", \"eth0\" } drop",
        "iifname vmap { \"eth0\" : drop, \"ppp0\" : accept }", "iifname \"*\" drop"})
    EXPECT_EQ(reach_of(rule, "eth0"), RuleReach::Named) << rule;
  for (const char* rule :
       {"iifname \"eth1\" drop", "iifname \"eth01\" drop", "iifname \"eth\" drop",
        "iifname != \"eth0\" drop", "iifname != { \"eth0\", \"lo\" } drop", "iif \"lo\" drop",
        "iifname { \"ppp*\", \"eth1\" } drop", "iifname vmap { \"eth1\" : jump a }",
        "oifname \"eth0\" iifname \"eth1\" drop"})
    EXPECT_EQ(reach_of(rule, "eth0"), RuleReach::Others) << rule;
}

TEST(RuleLinks, FollowsTheChainsOfItsLink) {
  EXPECT_THAT(targets_of("iifname \"eth0\" goto filter_IN_public", "eth0"),
              ElementsAre("filter_IN_public"));
  EXPECT_THAT(targets_of("iifname \"eth0\" goto filter_IN_public", "eth1"), IsEmpty());
  EXPECT_THAT(targets_of("iifname vmap { \"eth0\" : jump a, \"eth1\" : goto b }", "eth1"),
              ElementsAre("b"));
  EXPECT_THAT(targets_of("ct state vmap { invalid : drop, new : jump fresh }", "eth1"),
              ElementsAre("fresh"));
  EXPECT_THAT(targets_of("counter jump ufw-before-input", "eth0"), ElementsAre("ufw-before-input"));
  EXPECT_THAT(targets_of("udp dport 51820 accept", "eth0"), IsEmpty());
  // Whatever a stranger's rules look like, it is read to its end and no further.
  for (const char* rule : {"iifname", "iifname ", "iifname \"", "iifname {", "iifname vmap {",
                           "x vmap {", "jump ", "iifname != ", "iifname \"eth0"}) {
    std::ignore = reach_of(rule, "eth0");
    std::ignore = targets_of(rule, "eth0");
  }
}

}  // namespace
}  // namespace warren::hostnet
