// Networks on segments of the host's: a bridge or a wire with an "instance" behind it that knows
// nothing of warren.
#include <gmock/gmock.h>
#include <poll.h>

#include <chrono>

#include "hostnet/neighbour_probe.hpp"
#include "hostnet/station.hpp"
#include "hostnet/test_ping.hpp"
#include "hostnet/test_world.hpp"
#include "os/clock.hpp"

namespace warren::hostnet {
namespace {

using base::ErrorKind;
using plan::HostNetwork;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const base::IpAddress kMember4 = address("10.20.0.5");
const base::IpAddress kMember6 = address("fd20::5");
const base::IpAddress kInstance4 = address("10.20.0.100");
const base::IpAddress kInstance6 = address("fd20::100");

/// br100 of the host, and an instance behind it; or `wire`, a link of the host's that leads to it.
class Segment {
 public:
  explicit Segment(bool with_bridge) {
    std::thread([&] {
      if (unshare(CLONE_NEWNET) != 0) return;
      std::ofstream("/proc/sys/net/ipv6/conf/default/accept_dad") << "0";
      instance_ = std::move(os::current_netns().value());
    }).join();
    auto host = os::Rtnl::open().value();
    auto there = os::Rtnl::open_in(instance_).value();
    EXPECT_TRUE(host.add_veth("wire", "eth0", instance_.get()));
    if (with_bridge) {
      EXPECT_TRUE(host.add_bridge("br100"));
      EXPECT_TRUE(host.set_master("wire", "br100"));
      EXPECT_TRUE(host.set_up("br100", true));
    }
    EXPECT_TRUE(host.set_up("wire", true));
    EXPECT_TRUE(there.set_up("lo", true));
    EXPECT_TRUE(there.set_up("eth0", true));
    EXPECT_TRUE(there.add_address("eth0", {kInstance4, 24}));
    EXPECT_TRUE(there.add_address("eth0", {kInstance6, 64}));
    wait_for_carrier("wire");
    if (with_bridge) wait_for_carrier("br100");
  }
  /// What a command prints there.
  std::string run(const std::string& command) {
    std::string out;
    EXPECT_TRUE(os::in_netns(instance_, [&] {
      out = output_of(command);
      return base::Status();
    }));
    return out;
  }
  os::MacAddress mac() { return os::Rtnl::open_in(instance_).value().link("eth0")->mac; }

 private:
  /// The kernel tells of a carrier a moment after the other end is up; later on a busy machine.
  static void wait_for_carrier(const std::string& link) {
    constexpr auto kPatience = std::chrono::seconds(20);
    const base::Instant end = os::now() + kPatience;
    while (output_of("ip -o link show " + link).find("LOWER_UP") == std::string::npos) {
      ASSERT_LT(os::now(), end) << link << " has no carrier";
      poll(nullptr, 0, 10);
    }
  }

  os::Fd instance_;
};

HostNetwork attached(World& world, const std::string& link) {
  HostNetwork lab = world.network(world.name('a'), 1);
  lab.attach = link;
  lab.attached_members = {kMember4, kMember6};
  return lab;
}

/// Link-local addresses come by themselves when links get up, and so does the state of a link.
std::map<std::string, std::string> settled() {
  auto out = snapshot();
  out.erase("ip -j -6 route show table all");
  out.erase("ip -j addr");
  std::string& links = out["ip -j link"];
  const std::string unknown = "\"operstate\":\"UNKNOWN\"";
  for (std::size_t at = 0; (at = links.find(unknown, at)) != std::string::npos;)
    links.replace(at, unknown.size(), "\"operstate\":\"UP\"");
  out["addresses"] = output_of("ip -o addr | grep -v fe80:");
  out["routes6"] = output_of("ip -6 route show table all | grep -v -e fe80: -e ff00:");
  return out;
}

void expect_served(HostNet& host, const HostNetwork& lab, Segment& segment) {
  EXPECT_THAT(plan::preview(host, {lab}).value(), IsEmpty());
  Peer peer = Peer::attach(lab.netns_name(), lab.id.interface_name());
  EXPECT_TRUE(peer.ping(kMember4, kInstance4));
  EXPECT_TRUE(peer.ping(kMember6, kInstance6));
  EXPECT_TRUE(peer.ping(kMember4, address("10.20.0.1")));
  // The instance asks first, with nothing remembered, and is answered at once.
  segment.run("ip neigh flush all");
  const std::string arping = segment.run("ping -c 1 -W 0.3 10.20.0.5; ping -6 -c 1 -W 0.3 fd20::5");
  const std::string known = segment.run("ip neigh");
  EXPECT_THAT(known, testing::ContainsRegex("10.20.0.5 dev eth0 lladdr 02:57:5e:57:00:01"));
  EXPECT_THAT(known, testing::ContainsRegex("fd20::5 dev eth0 lladdr 02:57:5e:57:00:01"));
  EXPECT_TRUE(peer.hears(kInstance4, kMember4, 2000, 8));
  EXPECT_TRUE(peer.hears(kInstance6, kMember6, 2000, 128));
  // Nobody else is answered for, nor is the instance a way into the gateway's uplink.
  segment.run("ping -c 1 -W 0.3 10.20.0.77; ping -6 -c 1 -W 0.3 fd20::77");
  EXPECT_THAT(segment.run("ip neigh show 10.20.0.77"), Not(HasSubstr("lladdr")));
  EXPECT_THAT(segment.run("ip neigh show fd20::77"), Not(HasSubstr("lladdr")));
}

TEST(Segment, MembersArePartOfABridgeAndNothingOfThemStays) {
  World::tell([](World& world) {
    Segment segment(true);
    const auto before = settled();
    const auto host = world.open();
    const HostNetwork lab = attached(world, "br100");
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_THAT(plan::preview(*world.open(), {lab}).value(), IsEmpty());
    expect_served(*host, lab, segment);
    EXPECT_THAT(output_of("ip link show master br100"), HasSubstr("ws5e570001"));
    ASSERT_DONE(plan::reconcile(*host, {}));
    EXPECT_EQ(difference(before, settled()), "");
  });
}

TEST(Segment, MembersAreOnAWireAndNothingOfThemStays) {
  World::tell([](World& world) {
    Segment segment(false);
    const auto before = settled();
    const auto host = world.open();
    const HostNetwork lab = attached(world, "wire");
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_THAT(plan::preview(*world.open(), {lab}).value(), IsEmpty());
    expect_served(*host, lab, segment);
    ASSERT_DONE(plan::reconcile(*host, {}));
    EXPECT_EQ(difference(before, settled()), "");
  });
}

TEST(Segment, ABridgeKeepsItsAddressAndItsMtu) {
  World::tell([](World& world) {
    Segment segment(true);
    EXPECT_EQ(output_of("ip link set wire mtu 9000"), "");
    const auto shown = [] {
      return output_of("ip -o link show br100 | grep -o -e 'mtu [0-9]*' -e 'ether [0-9a-f:]*'");
    };
    const std::string before = shown();
    EXPECT_THAT(before, HasSubstr("9000"));
    const auto host = world.open();
    ASSERT_DONE(plan::reconcile(*host, {attached(world, "br100")}));
    EXPECT_EQ(shown(), before);
  });
}

TEST(Segment, AMemberComesAndGoesAlone) {
  World::tell([](World& world) {
    Segment segment(true);
    const auto host = world.open();
    HostNetwork lab = attached(world, "br100");
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    HostNetwork fewer = lab;
    fewer.attached_members = {kMember6};
    ASSERT_DONE(host->change_attached_members(lab, {kMember4}, {}));
    ASSERT_DONE(host->change_attached_members(lab, {kMember4}, {}));  // gone already
    EXPECT_THAT(plan::preview(*host, {fewer}).value(), IsEmpty());
    EXPECT_THAT(in_space(lab.netns_name(), "ip neigh show proxy"), Not(HasSubstr("10.20.0.5")));
    Peer peer = Peer::attach(lab.netns_name(), lab.id.interface_name());
    ASSERT_TRUE(peer.ping(kMember6, kInstance6));
    EXPECT_FALSE(peer.ping(kMember4, kInstance4, 300));
    ASSERT_DONE(host->change_attached_members(lab, {}, {kMember4}));
    ASSERT_DONE(host->change_attached_members(lab, {}, {kMember4}));
    EXPECT_THAT(plan::preview(*host, {lab}).value(), IsEmpty());
    EXPECT_TRUE(peer.ping(kMember4, kInstance4));
  });
}

TEST(Segment, ABridgeThatVanishesLeavesANetworkThatWaitsForIt) {
  World::tell([](World& world) {
    const auto host = world.open();
    HostNetwork lab;
    {
      Segment segment(true);
      lab = attached(world, "br100");
      ASSERT_DONE(plan::reconcile(*host, {lab}));
      EXPECT_EQ(output_of("ip link del br100; ip link del wire"), "");
    }
    EXPECT_THAT(plan::preview(*host, {lab}).value(), Not(IsEmpty()));
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_THAT(plan::preview(*host, {lab}).value(), IsEmpty());
    {
      Peer peer = Peer::attach(lab.netns_name(), lab.id.interface_name());
      EXPECT_TRUE(peer.ping(kMember4, address("10.20.0.1")));
    }
    Segment again(true);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    expect_served(*host, lab, again);
    // Taken off the bridge by somebody.
    EXPECT_EQ(output_of("ip link set ws5e570001 nomaster"), "");
    EXPECT_EQ(plan::reconcile(*host, {lab}).value(), 1U);
    expect_served(*host, lab, again);
  });
}

TEST(Segment, FailingHalfWayLeavesTheHostAsBefore) {
  World::tell([](World& world) {
    Segment segment(true);
    const auto host = world.open();
    const auto before = settled();
    HostNetwork lab = attached(world, "br100");
    lab.host_access = true;
    const auto plan = plan::make_plan({lab}, host->observe().value());
    ASSERT_DONE(plan);
    for (std::size_t done = 1; done <= plan->size(); done += 3) {
      for (std::size_t at = 0; at < done; ++at) ASSERT_DONE(host->apply((*plan)[at]));
      for (std::size_t at = done; at-- > 0;) ASSERT_DONE(host->apply((*plan)[at].inverse()));
      ASSERT_EQ(difference(before, settled()), "") << "after " << done << " steps";
    }
  });
}

TEST(Segment, WhoHasAnAddressIsAsked) {
  World::tell([](World& world) {
    Segment segment(true);
    EXPECT_EQ(output_of("ip addr add 10.20.0.200/24 dev br100"), "");
    const auto host = world.open();
    const HostNetwork lab = attached(world, "br100");
    const std::vector<base::IpAddress> asked = {
        kInstance4, kInstance6, address("10.20.0.77"), address("fd20::77"), address("10.20.0.200"),
        kMember4};
    for (const bool there : {false, true}) {
      // What the network itself answers for does not count.
      if (there) ASSERT_DONE(plan::reconcile(*host, {lab}));
      const std::map<std::string, std::string> expected = {{"10.20.0.100", to_text(segment.mac())},
                                                           {"fd20::100", to_text(segment.mac())},
                                                           {"10.20.0.200", "this host"}};
      std::map<std::string, std::string> owners;
      // On a busy machine an answer may come later than somebody waits for it.
      for (int attempt = 0; attempt < 20 && owners != expected; ++attempt) {
        const auto found = host->find_occupants(lab, asked);
        ASSERT_DONE(found);
        owners.clear();
        for (const plan::Occupant& one : *found) owners[one.address.to_string()] = one.owner;
      }
      EXPECT_EQ(owners, expected);
    }
  });
}

TEST(Segment, WhatCannotBeAttachedToIsNamed) {
  World::tell([](World& world) {
    Segment segment(true);
    const auto host = world.open();
    EXPECT_TRUE(host->find_segment("br100")->is_bridge);
    EXPECT_EQ(host->find_segment("br200").error().kind, ErrorKind::NotFound);
    const auto port = host->find_segment("wire");
    ASSERT_FALSE(port);
    EXPECT_EQ(port.error().kind, ErrorKind::Conflict);
    EXPECT_THAT(port.error().message, HasSubstr("wire is a port of br100"));
    EXPECT_EQ(host->find_segment("lo").error().kind, ErrorKind::Invalid);
  });
}

TEST(Segment, AFilterThatDropsWhatIsBridgedIsNamed) {
  World::tell([](World& world) {
    Segment segment(true);
    const auto host = world.open();
    const HostNetwork lab = attached(world, "br100");
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    if (output_of("sysctl -qw net.bridge.bridge-nf-call-iptables=1") != "")
      GTEST_SKIP() << "this kernel asks nobody about what it bridges";
    const auto before = settled();
    EXPECT_FALSE(host->probe_segment(lab)->has_value());
    EXPECT_EQ(
        output_of("nft 'table ip filter { chain DOCKER-USER { return; }; chain FORWARD { type "
                  "filter hook forward priority 0; policy drop; jump DOCKER-USER; }; }'"),
        "");
    const auto found = host->probe_segment(lab);
    ASSERT_DONE(found);
    ASSERT_TRUE(found->has_value());
    EXPECT_THAT((*found)->remedy, HasSubstr("iptables -I DOCKER-USER -i br100 -o br100 -j ACCEPT"));
    EXPECT_EQ(output_of("nft insert rule ip filter FORWARD iifname br100 oifname br100 accept"),
              "");
    EXPECT_FALSE(host->probe_segment(lab)->has_value());
    EXPECT_EQ(output_of("nft delete table ip filter"), "");
    EXPECT_EQ(difference(before, settled()), "");
  });
}

TEST(Segment, APolicyKnowsIt) {
  World::tell([](World& world) {
    Segment segment(true);
    const auto host = world.open();
    HostNetwork lab = attached(world, "br100");
    const auto with_policy = [&](const char* text) {
      const auto policy = model::Policy::parse(text, {}).value();
      const model::PolicyMember member{"m", 1, 0, kMember4, kMember6};
      lab.policy = model::make_policy_table(policy, {}, {member},
                                            {address("10.20.0.1"), address("fd20::1")});
      ASSERT_DONE(plan::reconcile(*host, {lab}));
      ASSERT_THAT(plan::preview(*host, {lab}).value(), IsEmpty());
    };
    const auto instance_reaches = [&](Peer& peer) {
      while (!peer.receive(0).empty()) {
      }
      segment.run("ping -c 1 -W 0.3 10.20.0.5");
      return peer.hears(kInstance4, kMember4, 200, 8);
    };
    ASSERT_NO_FATAL_FAILURE(with_policy("rules:\n  - any -> segment: icmp\n"));
    Peer peer = Peer::attach(lab.netns_name(), lab.id.interface_name());
    EXPECT_TRUE(peer.ping(kMember4, kInstance4));
    EXPECT_TRUE(peer.ping(kMember6, kInstance6));
    EXPECT_FALSE(instance_reaches(peer));
    // As a member it is not heard either.
    segment.run("ip addr add 10.20.0.6/32 dev eth0");
    segment.run("ping -c 1 -W 0.3 -I 10.20.0.6 10.20.0.5");
    EXPECT_FALSE(peer.hears(address("10.20.0.6"), kMember4, 200, 8));
    ASSERT_NO_FATAL_FAILURE(with_policy("rules:\n  - segment -> any: icmp\n"));
    EXPECT_TRUE(instance_reaches(peer));
    EXPECT_FALSE(peer.ping(kMember4, kInstance4, 300));
  });
}

TEST(HostAccess, TheHostReachesMembersAsTheGatewayWithAndWithoutNat) {
  World::tell([](World& world) {
    const auto before = snapshot();
    const auto host = world.open();
    for (const bool nat : {true, false}) {
      HostNetwork lab = world.network(world.name('a'), 1);
      lab.nat = nat;
      lab.host_access = true;
      lab.policy = model::make_policy_table(model::Policy::parse("rules: []", {}).value(), {}, {},
                                            {address("10.20.0.1"), address("fd20::1")});
      ASSERT_DONE(plan::reconcile(*host, {lab}));
      EXPECT_THAT(plan::preview(*world.open(), {lab}).value(), IsEmpty());
      EXPECT_THAT(output_of("ip route"), HasSubstr("10.20.0.0/24 via 100.126.0.3 dev wh5e570001"));
      Peer peer = Peer::attach(lab.netns_name(), lab.id.interface_name());
      EXPECT_TRUE(peer.ping(kMember4, address("10.20.0.1")));
      output_of("ping -c 1 -W 0.3 10.20.0.5; ping -6 -c 1 -W 0.3 fd20::5");
      EXPECT_TRUE(peer.hears(address("10.20.0.1"), kMember4, 2000, 8)) << nat;
      EXPECT_TRUE(peer.hears(address("fd20::1"), kMember6, 2000, 128)) << nat;
    }
    ASSERT_DONE(plan::reconcile(*host, {}));
    EXPECT_EQ(difference(before, snapshot()), "");
  });
}

TEST(Station, ItsAddressTellsTheNetwork) {
  const os::MacAddress mac = station_mac(kStationMacStart, 0x5e570001);
  EXPECT_EQ(to_text(mac), "02:57:5e:57:00:01");
  EXPECT_EQ(station_of(mac), 0x5e570001U);
  EXPECT_EQ(station_of(station_mac(kPortMacStart, 1)), 0U);
}

TEST(NeighbourProbe, QuestionsAreNoAnswersAndHalfAFrameIsNothing) {
  const os::MacAddress us{2, 0, 0, 0, 0, 1};
  for (const char* text : {"10.20.0.5", "fd20::5"}) {
    const auto frame = neighbour_question(us, address(text));
    EXPECT_FALSE(neighbour_answer(frame));
    for (std::size_t size = 0; size < frame.size(); ++size)
      EXPECT_FALSE(neighbour_answer(base::Bytes(frame).first(size)));
  }
  auto reply = neighbour_question(us, address("10.20.0.5"));
  reply[21] = 2;                                                        // a reply
  std::ranges::copy(address("10.20.0.5").bytes(), reply.begin() + 28);  // of whom
  ASSERT_TRUE(neighbour_answer(reply));
  EXPECT_EQ(neighbour_answer(reply)->address, address("10.20.0.5"));
  EXPECT_EQ(neighbour_answer(reply)->mac, us);
}

}  // namespace
}  // namespace warren::hostnet
