#include "model/policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/random_policy.hpp"

namespace warren::model {
namespace {

using ::testing::HasSubstr;
using testing::RandomPolicy;

Policy parsed(std::string_view text) {
  auto policy = Policy::parse(text, RandomPolicy::roles());
  EXPECT_TRUE(policy) << policy.error().message;
  return policy ? *policy : Policy{};
}

base::Error refused(std::string_view text) {
  const auto policy = Policy::parse(text, RandomPolicy::roles());
  EXPECT_FALSE(policy) << text;
  return policy ? base::Error{} : policy.error();
}

const Subject kNode{PartyKind::Peer, "n1", "node"};
const Subject kManager{PartyKind::Peer, "m1", "management"};
const Subject kOutside{PartyKind::Internet, "", ""};
const Subject kGateway{PartyKind::Gateway, "", ""};
const Subject kSegment{PartyKind::Segment, "", ""};

TEST(Policy, AnswersWithTheRuleThatDecided) {
  const Policy policy = parsed(
      "services:\n"
      "  upload: tcp 8000\n"
      "  mqtt: {peer: m1, port: 1883, env: MQTT_BROKER}\n"
      "rules:\n"
      "  - node -> management: upload, udp 53\n"
      "  - node → mqtt\n"
      "  - internet -> m1: [tcp 80, tcp 443]\n");
  const auto line = [&](const Subject& from, const Subject& to, std::uint8_t protocol,
                        std::uint16_t port) {
    const PolicyAnswer answer = policy.test(from, to, protocol, port);
    EXPECT_EQ(answer.allowed, answer.rule != nullptr);
    return answer.rule != nullptr ? answer.rule->line : 0;
  };
  EXPECT_EQ(line(kNode, kManager, kTcp, 8000), 5U);
  EXPECT_EQ(line(kNode, kManager, kUdp, 53), 5U);
  EXPECT_EQ(line(kNode, kManager, kTcp, 1883), 6U);
  EXPECT_EQ(line(kNode, {PartyKind::Peer, "m2", "management"}, kTcp, 1883), 0U);
  EXPECT_EQ(line(kOutside, kManager, kTcp, 443), 7U);
  EXPECT_EQ(line(kManager, kNode, kTcp, 8000), 0U);
  EXPECT_EQ(line(kNode, kManager, kIcmp, 0), 0U);
  EXPECT_EQ(policy.rules[0].text, "node -> management: upload, udp 53");
}

TEST(Policy, TheGatewayOpensAnythingAndAnswersEchoAndNames) {
  const Policy policy = parsed("rules: []");
  EXPECT_TRUE(policy.test(kGateway, kNode, kTcp, 22).allowed);
  EXPECT_TRUE(policy.test(kNode, kGateway, kIcmp6, 0).allowed);
  EXPECT_TRUE(policy.test(kNode, kGateway, kUdp, 53).allowed);
  EXPECT_FALSE(policy.test(kNode, kGateway, kTcp, 22).allowed);
  EXPECT_FALSE(policy.test(kOutside, kGateway, kUdp, 53).allowed);
  EXPECT_FALSE(policy.test(kNode, kOutside, kTcp, 443).allowed);
}

TEST(Policy, ASegmentIsAPartyOfItsOwn) {
  const Policy policy = parsed(
      "rules:\n  - segment -> node, gateway: tcp 22\n  - management -> segment: any\n"
      "  - any -> any: any\n");
  EXPECT_TRUE(policy.test(kSegment, kNode, kTcp, 22).allowed);
  EXPECT_FALSE(policy.test(kSegment, kManager, kTcp, 22).allowed);
  EXPECT_TRUE(policy.test(kSegment, kGateway, kTcp, 22).allowed);
  EXPECT_TRUE(policy.test(kSegment, kGateway, kIcmp, 0).allowed);
  EXPECT_TRUE(policy.test(kManager, kSegment, kUdp, 5).allowed);
  EXPECT_FALSE(policy.test(kNode, kSegment, kUdp, 5).allowed);
  for (const char* line : {"segment -> internet", "segment -> segment", "internet -> segment"}) {
    EXPECT_THAT(refused(std::string("rules:\n  - ") + line + ": tcp 1\n").message,
                HasSubstr("line 2, column 5"));
  }
  EXPECT_FALSE(check_role_name("segment"));
}

TEST(Policy, AnyIsEveryMemberAndNobodyElse) {
  const Policy policy = parsed("rules:\n  any -> any: icmp, tcp\n");
  EXPECT_TRUE(policy.test(kNode, kManager, kIcmp6, 0).allowed);
  EXPECT_TRUE(policy.test(kNode, kManager, kTcp, 1).allowed);
  EXPECT_FALSE(policy.test(kNode, kManager, kUdp, 1).allowed);
  EXPECT_FALSE(policy.test(kNode, kOutside, kTcp, 1).allowed);
  EXPECT_FALSE(policy.test(kOutside, kNode, kTcp, 1).allowed);
}

TEST(Policy, ARoleIsMeantBeforeAPeerOfItsName) {
  const Policy policy = parsed("rules:\n  - node, peer:node -> role:management: tcp 22\n");
  ASSERT_EQ(policy.rules[0].from.size(), 2U);
  EXPECT_EQ(policy.rules[0].from[0].kind, PartyKind::Role);
  EXPECT_EQ(policy.rules[0].from[1].kind, PartyKind::Peer);
  EXPECT_EQ(policy.peers_named().size(), 1U);
}

TEST(Policy, EveryMistakeIsFoundAtItsPlace) {
  const std::pair<const char*, std::pair<const char*, const char*>> cases[] = {
      {"", {"line 1, column 1: a policy is a mapping", "rules: []"}},
      {"rule: []", {"line 1, column 1: unknown key \"rule\"", "did you mean rules?"}},
      {"services: {}", {"line 1, column 1: the key rules is missing", ""}},
      {"rules: 7", {"line 1, column 8: rules are a list", ""}},
      {"rules:\n  - node -> management", {"line 2, column 13: nothing says", "tcp 1883"}},
      {"rules:\n  - node management: tcp 1", {"line 2, column 5: the rule has no arrow", ""}},
      {"rules:\n  - node -> role:nod: tcp 1", {"column 13: there is no role \"nod\"", "mean node"}},
      {"rules:\n  - node -> x: tcp 1, tpc 2", {"line 2, column 23: \"tpc 2\"", "tcp 1883"}},
      {"rules:\n  - node -> x: tcp 0", {"column 16: \"0\" is no port", "from 1 to 65535"}},
      {"rules:\n  - node -> x: tcp 9-8", {"column 16: \"9-8\" is no port", "from 1 to 65535"}},
      {"rules:\n  - node -> x: ''", {"opens nothing", ""}},
      {"rules:\n  - node,, a -> x: tcp 1", {"is no name of a role or peer", "commas"}},
      {"rules:\n  - gateway -> x: tcp 1", {"may open anything without", "leave"}},
      {"rules:\n  - internet -> gateway: tcp 1", {"only lead to members", "forwards"}},
      {"services: {mqt: tcp 1}\nrules:\n  - a -> b: mqtt", {"column 13: \"mqtt\"", "mean mqt?"}},
      {"services: {m: {prot: 1}}\nrules: []", {"unknown key \"prot\"", "did you mean port?"}},
      {"services: {m: {peer: a}}\nrules: []", {"\"m\" has no port", ""}},
      {"services: {tcp: tcp 1}\nrules: []", {"no name for a service", ""}},
      {"rules:\n  - [a", {"this is no YAML", "a missing colon, quote or bracket"}},
      {"rules:\n\t- node -> x: any", {"this is no YAML", "line 2 begins with a tab"}},
      {"rules:\n  - {a -> b: tcp 1, c -> d: tcp 1}", {"a rule is one line", ""}},
      {"rules: &a\n  - a -> b: [*a]", {"", ""}},
  };
  for (const auto& [text, expected] : cases) {
    const base::Error error = refused(text);
    EXPECT_EQ(error.kind, base::ErrorKind::Invalid) << text;
    EXPECT_THAT(error.message, HasSubstr(expected.first)) << text;
    EXPECT_THAT(error.message, HasSubstr("line ")) << text;
    EXPECT_THAT(error.hint, HasSubstr(expected.second)) << text;
  }
}

TEST(Policy, LimitsAreNamed) {
  std::string many = "rules:\n";
  for (std::size_t n = 0; n <= kMaxPolicyRules; ++n) many += "  - node -> node: tcp 1\n";
  EXPECT_THAT(refused(many).message, HasSubstr("may have 1000 rules"));
  std::string names = "rules:\n";
  for (std::size_t n = 0; n <= kMaxNamedPeers; ++n) {
    names += "  - x" + std::to_string(n) + " -> node: tcp 1\n";
  }
  EXPECT_THAT(refused(names).message, HasSubstr("may name 64 peers"));
  std::string wide = "rules:\n";
  for (int n = 0; n < 64; ++n) wide += "  - x" + std::to_string(n) + " -> node: tcp 1\n";
  for (int n = 0; n < 16; ++n) wide += "  - node -> node: tcp 1\n";
  const Policy grows = parsed(wide);
  EXPECT_THAT(check_size(grows).error().message, HasSubstr("line 80: with this rule"));
}

TEST(PolicyTable, AgreesWithThePolicyWhoeverAsksWhom) {
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    RandomPolicy random(seed);
    const std::string text = random.text(6);
    const Policy policy = parsed(text);
    const auto members = RandomPolicy::members(10);
    const PolicyTable table = make_policy_table(policy, RandomPolicy::roles(), members, {});
    for (int question = 0; question < 50; ++question) {
      const PolicyMember& from = random.one_of(members);
      const PolicyMember& to = random.one_of(members);
      const bool icmp = random.below(4) == 0;
      const std::uint8_t protocol = icmp ? kIcmp : random.below(2) == 0 ? kTcp : kUdp;
      const std::uint16_t port = icmp ? 0 : random.port();
      const Subject asks = RandomPolicy::subject(from);
      const Subject asked = RandomPolicy::subject(to);
      const auto group = [&](const PolicyMember& m) { return table.group_of(*m.address6); };
      ASSERT_EQ(policy.test(asks, asked, protocol, port).allowed,
                table.allows(group(from), group(to), protocol, port))
          << "seed " << seed << "\n"
          << text << from.name << " to " << to.name << " " << port;
      ASSERT_EQ(policy.test(asks, kOutside, protocol, port).allowed,
                table.allows(group(from), kInternetGroup, protocol, port))
          << "seed " << seed;
      ASSERT_EQ(policy.test(asks, kGateway, protocol, port).allowed,
                table.allows(group(from), kGatewayGroup, protocol, port))
          << "seed " << seed;
      ASSERT_EQ(policy.test(kOutside, asked, protocol, port).allowed,
                table.allows(kInternetGroup, group(to), protocol, port))
          << "seed " << seed;
      ASSERT_EQ(policy.test(kSegment, asked, protocol, port).allowed,
                table.allows(kSegmentGroup, group(to), protocol, port))
          << "seed " << seed;
      ASSERT_EQ(policy.test(asks, kSegment, protocol, port).allowed,
                table.allows(group(from), kSegmentGroup, protocol, port))
          << "seed " << seed;
    }
  }
}

TEST(PolicyTable, AMemberMoreIsOneEntryMore) {
  const Policy policy = parsed("rules:\n  - node -> p1: tcp 22\n");
  auto members = RandomPolicy::members(9);
  const PolicyTable before = make_policy_table(policy, RandomPolicy::roles(), members, {});
  members.push_back({"fresh", 77, 2, base::IpAddress::v4(0x0a1400ff), std::nullopt});
  const PolicyTable after = make_policy_table(policy, RandomPolicy::roles(), members, {});
  EXPECT_EQ(after.rules, before.rules);
  EXPECT_EQ(after.members.size(), before.members.size() + 1);
  EXPECT_EQ(members_of(policy, members.back()).front().group, kFirstRoleGroup + 2);
  EXPECT_EQ(group_of(policy, members[1]), kFirstPeerGroup + members[1].id);
}

}  // namespace
}  // namespace warren::model
