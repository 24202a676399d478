// Policies in the kernel. The first test is the promise: whatever the policy, packets through the
// namespace's nftables fare as the model says.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <set>

#include "hostnet/test_probe.hpp"
#include "hostnet/test_world.hpp"
#include "model/random_policy.hpp"

namespace warren::hostnet {
namespace {

using model::testing::RandomPolicy;
using plan::HostNetwork;

constexpr std::uint32_t kMembers = 10;
constexpr std::uint32_t kNamed = 5;

model::PolicyTable table_of(const model::Policy& policy, std::uint32_t members = kMembers) {
  return model::make_policy_table(policy, RandomPolicy::roles(), RandomPolicy::members(members),
                                  {address("10.20.0.1"), address("fd20::1")});
}

model::Policy parsed(const std::string& text) {
  auto policy = model::Policy::parse(text, RandomPolicy::roles());
  EXPECT_TRUE(policy) << policy.error().message << "\n" << text;
  return policy ? *policy : model::Policy{};
}

/// Sends probes and tells which of them arrived where they were sent, or were answered from there.
class Prober {
 public:
  Prober(const HostNetwork& network)
      : peer_(Peer::attach(network.netns_name(), network.id.interface_name())) {}

  [[nodiscard]] bool is_ready() { return peer_.ping(address("10.20.0.10"), address("10.20.0.1")); }
  void send(const Probe& probe) { EXPECT_TRUE(peer_.send(packet_of(probe))); }
  /// Everything is through when the gateway has answered what was sent last.
  std::set<Probe> arrived() {
    std::set<Probe> out;
    EXPECT_TRUE(peer_.send(address("10.20.0.10"), address("10.20.0.1")));
    for (auto packet = peer_.receive(5000); !packet.empty(); packet = peer_.receive(5000)) {
      const Probe probe = probe_of(packet);
      if (probe.protocol == model::kIcmp && probe.from == address("10.20.0.1")) return out;
      out.insert(probe);
    }
    ADD_FAILURE() << "the gateway did not answer";
    return out;
  }

 private:
  Peer peer_;
};

struct Expectation {
  Probe arrives;  ///< what comes out of the tun, where it is allowed
  bool allowed = false;
  std::string about;
};

class RandomProbes {
 public:
  explicit RandomProbes(std::uint32_t seed) : random_(seed), policy_(), seed_(seed) {}

  HostNetwork next_network(HostNetwork network) {
    const std::string text = random_.text(kNamed);
    policy_ = parsed(text);
    about_ = "seed " + std::to_string(seed_) + "\n" + text;
    network.policy = table_of(policy_);
    return network;
  }
  Expectation send(Prober& prober, std::uint16_t from_port) {
    const auto members = RandomPolicy::members(kMembers);
    const auto& from = random_.one_of(members);
    const bool v6 = random_.below(2) == 0;
    const auto of = [&](const model::PolicyMember& member) {
      return v6 ? *member.address6 : *member.address4;
    };
    Probe probe{.from = of(from), .to = {}, .from_port = from_port, .to_port = random_.port()};
    model::Subject asked;
    const std::uint32_t where = random_.below(6);
    if (where == 0) {
      probe.to = address(v6 ? "fd20::1" : "10.20.0.1");
      asked.kind = model::PartyKind::Gateway;
    } else if (where == 1) {
      probe.to = address(v6 ? "2001:db8::1" : "192.0.2.1");
      asked.kind = model::PartyKind::Internet;
    } else {
      const auto& to = random_.one_of(members);
      probe.to = of(to);
      asked = RandomPolicy::subject(to);
      if (random_.below(2) == 0) probe.protocol = model::kUdp;
    }
    prober.send(probe);
    const auto answer =
        policy_.test(RandomPolicy::subject(from), asked, probe.protocol, probe.to_port);
    Probe arrives = probe;
    if (where < 2) {  // a closed port answers, from there
      std::swap(arrives.from, arrives.to);
      std::swap(arrives.from_port, arrives.to_port);
    }
    return {arrives, answer.allowed,
            about_ + from.name + " to " + probe.to.to_string() + " protocol " +
                std::to_string(probe.protocol) + " port " + std::to_string(probe.to_port)};
  }

 private:
  RandomPolicy random_;
  model::Policy policy_;
  std::string about_;
  std::uint32_t seed_;
};

TEST(PolicyInTheKernel, PacketsFareAsTheModelSays) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork bare = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {bare}));
    Prober prober(bare);
    ASSERT_TRUE(prober.is_ready());
    std::uint16_t port = 20'000;
    std::size_t allowed = 0;
    std::size_t probes = 0;
    constexpr std::uint32_t kPolicies = 40;
    for (std::uint32_t seed = 1; seed <= kPolicies; ++seed) {
      RandomProbes random(seed);
      const HostNetwork network = random.next_network(bare);
      ASSERT_DONE(plan::reconcile(*host, {network}));
      ASSERT_THAT(plan::preview(*host, {network}).value(), testing::IsEmpty());
      std::vector<Expectation> expected;
      for (int n = 0; n < 40; ++n) expected.push_back(random.send(prober, port++));
      // What left by the uplink comes back when it comes back.
      std::set<Probe> seen;
      const auto missing = [&](const Expectation& one) {
        return one.allowed && !seen.contains(one.arrives);
      };
      for (int round = 0; round < 20; ++round) {
        seen.merge(prober.arrived());
        if (std::ranges::none_of(expected, missing)) break;
        usleep(5000);
      }
      for (const Expectation& one : expected) {
        ASSERT_EQ(seen.contains(one.arrives), one.allowed) << one.about;
        allowed += one.allowed ? 1 : 0;
        ++probes;
      }
    }
    // Neither everything nor nothing was allowed.
    EXPECT_GT(allowed, probes / 10);
    EXPECT_LT(allowed, probes * 9 / 10);
    RecordProperty("probes", static_cast<int>(probes));
    RecordProperty("allowed", static_cast<int>(allowed));
  });
}

TEST(PolicyInTheKernel, EchoesAreOpenedByIcmpAlone) {
  World::tell([](World& world) {
    const auto host = world.open();
    HostNetwork lab = world.network(world.name('a'), 1);
    lab.policy = table_of(parsed("rules:\n  - node -> management: icmp\n  - any -> any: tcp\n"));
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    Prober prober(lab);
    ASSERT_TRUE(prober.is_ready());
    const auto members = RandomPolicy::members(4);  // of the roles 0, 1, 2, 3
    for (const bool v6 : {false, true}) {
      const auto echo = [&](std::size_t from, std::size_t to) {
        const auto of = [&](std::size_t n) {
          return v6 ? *members[n].address6 : *members[n].address4;
        };
        Probe probe{.from = of(from), .to = of(to), .protocol = model::kIcmp};
        prober.send(probe);
        return prober.arrived().contains(probe);
      };
      EXPECT_TRUE(echo(2, 1));
      EXPECT_FALSE(echo(1, 3));
      EXPECT_FALSE(echo(0, 2));
    }
  });
}

TEST(PolicyInTheKernel, AForwardLeadsWhereTheInternetMayGo) {
  World::tell([](World& world) {
    const auto host = world.open();
    HostNetwork lab = world.network(world.name('a'), 1);
    for (const std::uint16_t port : {std::uint16_t{8080}, std::uint16_t{8081}}) {
      lab.forwards.push_back({.from = {model::Protocol::Tcp, port},
                              .to4 = address("10.20.0.10"),
                              .to_port = static_cast<std::uint16_t>(port - 8000)});
    }
    lab.policy = table_of(parsed("rules:\n  - internet -> p0: tcp 80\n  - any -> any: tcp\n"));
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    Prober prober(lab);
    ASSERT_TRUE(prober.is_ready());
    const auto knock = [&](std::uint16_t port) {
      return os::in_netns(world.upstream(), [&]() -> base::Status {
        const os::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        sockaddr_in to{
            .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
        inet_pton(AF_INET, "192.0.2.2", &to.sin_addr);
        (void)connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
        return {};
      });
    };
    const auto came = [&](std::uint16_t port) {
      for (const Probe& probe : prober.arrived()) {
        if (probe.to == address("10.20.0.10") && probe.to_port == port) return true;
      }
      return false;
    };
    ASSERT_DONE(knock(8081));
    ASSERT_DONE(knock(8080));
    bool allowed = false;
    for (int round = 0; round < 100 && !allowed; ++round) {
      allowed = came(80);
      if (!allowed) usleep(5000);
    }
    EXPECT_TRUE(allowed);
    EXPECT_FALSE(came(81));
  });
}

TEST(PolicyInTheKernel, AMemberIsOneElementAndDriftIsSeen) {
  World::tell([](World& world) {
    const auto host = world.open();
    HostNetwork lab = world.network(world.name('a'), 1);
    const model::Policy policy = parsed("rules:\n  - node -> any: tcp 22\n");
    lab.policy = table_of(policy);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    HostNetwork more = lab;
    more.policy = table_of(policy, kMembers + 1);
    const auto fresh = model::members_of(policy, RandomPolicy::members(kMembers + 1).back());
    ASSERT_DONE(host->change_policy_members(lab, {}, fresh));
    ASSERT_DONE(host->change_policy_members(lab, {}, fresh));
    EXPECT_THAT(plan::preview(*host, {more}).value(), testing::IsEmpty());
    ASSERT_DONE(host->change_policy_members(lab, fresh, {}));
    ASSERT_DONE(host->change_policy_members(lab, fresh, {}));
    EXPECT_THAT(plan::preview(*world.open(), {lab}).value(), testing::IsEmpty());
    EXPECT_EQ(plan::reconcile(*host, {more}).value(), 1U);

    const std::string table = " inet warren_policy ";
    for (const std::string& drift :
         {"delete element" + table + "groups4 '{ 10.20.0.10 }'",
          "add element" + table + "rules '{ 16 . 17 . 6 . 99 : accept }'",
          "add element" + table + "rules '{ 16 . 17 . 6 . 98 : drop }'",
          "insert rule" + table + "forward accept", "delete table" + table,
          "flush chain" + table + "forward"}) {
      EXPECT_EQ(in_space(lab.netns_name(), "nft " + drift), "");
      EXPECT_EQ(plan::preview(*host, {more}).value().empty(), false) << drift;
      ASSERT_DONE(plan::reconcile(*host, {more}));
      EXPECT_THAT(plan::preview(*host, {more}).value(), testing::IsEmpty()) << drift;
    }
    EXPECT_EQ(in_space(lab.netns_name(), "sysctl -qw net.netfilter.nf_conntrack_tcp_loose=1"), "");
    EXPECT_EQ(plan::preview(*host, {more}).value().size(), 1U);
  });
}

TEST(PolicyInTheKernel, FailingHalfWayAndDeletingLeaveTheHostAsBefore) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork bare = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {bare}));
    const auto rules = [&] { return in_space(bare.netns_name(), "nft -j list ruleset"); };
    HostNetwork lab = bare;
    lab.policy = table_of(parsed("rules:\n  - node -> p1: tcp 22\n"));
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_NE(rules().find("warren_policy"), std::string::npos);
    ASSERT_DONE(plan::reconcile(*host, {bare}));
    EXPECT_EQ(rules().find("warren_policy"), std::string::npos);
    EXPECT_EQ(in_space(bare.netns_name(), "sysctl -n net.netfilter.nf_conntrack_tcp_loose"), "1\n");
    EXPECT_THAT(plan::preview(*host, {bare}).value(), testing::IsEmpty());
  });
}

TEST(PolicyInTheKernel, StrangersAreFound) {
  World::tell([](World& world) {
    const auto host = world.open();
    HostNetwork lab = world.network(world.name('a'), 1);
    lab.policy = table_of(parsed("rules: []"));
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_THAT(host->find_strangers(lab).value(), testing::IsEmpty());
    EXPECT_EQ(in_space(lab.netns_name(), "nft add table ip evil"), "");
    EXPECT_EQ(in_space(lab.netns_name(), "ip route add 10.99.0.0/16 dev up0"), "");
    EXPECT_THAT(host->find_strangers(lab).value(),
                testing::UnorderedElementsAre("nft table ip evil", "route 10.99.0.0/16 dev up0"));
  });
}

}  // namespace
}  // namespace warren::hostnet
