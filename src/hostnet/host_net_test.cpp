// Networks on a real kernel, inside namespaces made by the test. What is checked is what `ip`,
// `nft` and /proc show, before and after.
#include "hostnet/host_net.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "hostnet/test_ping.hpp"
#include "hostnet/test_world.hpp"

namespace warren::hostnet {
namespace {

using base::ErrorKind;
using plan::HostNetwork;
using testing::HasSubstr;

TEST(HostNet, CreateMakesWhatThePictureShows) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork lab = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    const std::string netns = lab.netns_name();
    const auto links = nlohmann::json::parse(in_space(netns, "ip -j -d link"));
    std::map<std::string, std::string> kinds;
    for (const auto& link : links) {
      const std::string name = link.at("ifname");
      if (link.contains("linkinfo")) kinds[name] = link.at("linkinfo").at("info_kind");
      EXPECT_THAT(link.at("flags"), testing::Contains("UP")) << name;
      if (name == lab.id.interface_name()) {
        EXPECT_EQ(link.at("mtu"), 1420);
        const auto& data = link.at("linkinfo").at("info_data");
        EXPECT_EQ(data.at("user"), "root");
        EXPECT_EQ(data.at("group"), "root");
        EXPECT_EQ(data.at("multi_queue"), true);
      }
    }
    EXPECT_EQ(kinds, (std::map<std::string, std::string>{
                         {lab.id.interface_name(), "tun"}, {"br0", "bridge"}, {"up0", "veth"}}));
    EXPECT_THAT(in_space(netns, "ip -4 route"),
                testing::AllOf(HasSubstr("default via 100.126.0.2 dev up0"),
                               HasSubstr("10.20.0.0/24 dev wr5e570001")));
    EXPECT_THAT(in_space(netns, "ip -6 route"),
                testing::AllOf(HasSubstr("default via fd77:6172:7265:6e00::2 dev up0"),
                               HasSubstr("fd20::/64 dev wr5e570001")));
    EXPECT_THAT(output_of("ip link show wh5e570001"),
                HasSubstr("alias warren:" + World::instance()));
    EXPECT_EQ(output_of("sysctl -n net.ipv4.conf.eth0.forwarding"), "1\n");
    EXPECT_EQ(output_of("sysctl -n net.ipv4.ip_forward"), "0\n");
    EXPECT_THAT(output_of("nft list set inet " + World::table() + " networks"),
                HasSubstr("wh5e570001"));
    // The host has no route to the network's subnet.
    EXPECT_THAT(output_of("ip route show table all"), testing::Not(HasSubstr("10.20.0")));
  });
}

TEST(HostNet, RulesReadBackAsWritten) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork lab = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_EQ(in_space(lab.netns_name(), "nft -t list table inet warren"),
              plan::namespace_table_text(lab));
    EXPECT_EQ(output_of("nft -t list table inet " + World::table()),
              plan::host_table_text(World::table(), false));
  });
}

TEST(HostNet, AppliedTwiceIsAnEmptyPlanAlsoForASuccessor) {
  World::tell([](World& world) {
    const std::vector<HostNetwork> desired = {world.network(world.name('a'), 1),
                                              world.network(world.name('b'), 2)};
    {
      const auto host = world.open();
      ASSERT_DONE(plan::reconcile(*host, desired));
      EXPECT_THAT(plan::preview(*host, desired).value(), testing::IsEmpty());
    }
    const auto successor = world.open();
    EXPECT_THAT(plan::preview(*successor, desired).value(), testing::IsEmpty());
  });
}

TEST(HostNet, DeleteLeavesTheHostByteIdentical) {
  World::tell([](World& world) {
    const auto before = snapshot();
    const auto host = world.open();
    const HostNetwork lab = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_NE(snapshot(), before);
    ASSERT_DONE(plan::reconcile(*host, {}));
    EXPECT_EQ(difference(before, snapshot()), "");
    EXPECT_FALSE(std::filesystem::exists("/run/netns/" + lab.netns_name()));
  });
}

TEST(HostNet, DeleteOfOneOfTwoIsAsIfItHadNeverBeen) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork one = world.network(world.name('a'), 1);
    const HostNetwork two = world.network(world.name('b'), 2);
    ASSERT_DONE(plan::reconcile(*host, {one}));
    auto before = snapshot();
    ASSERT_DONE(plan::reconcile(*host, {one, two}));
    ASSERT_DONE(plan::reconcile(*host, {one}));
    auto after = snapshot();
    // Handles of elements are numbered on; everything else is the same.
    EXPECT_EQ(difference(before, after), "");
  });
}

TEST(HostNet, TwoNetworksWithOneSubnetReachTheUpstreamAtOnce) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork one = world.network(world.name('a'), 1);
    const HostNetwork two = world.network(world.name('b'), 2);
    ASSERT_DONE(plan::reconcile(*host, {one, two}));
    Peer first = Peer::attach(one.netns_name(), one.id.interface_name());
    Peer second = Peer::attach(two.netns_name(), two.id.interface_name());
    const auto peer4 = address("10.20.0.5");
    const auto peer6 = address("fd20::5");
    for (Peer* peer : {&first, &second})
      ASSERT_TRUE(peer->ping(address("10.20.0.6"), address("192.0.2.1")));
    // Both requests are out before either reply is read: same source, same identifier.
    ASSERT_TRUE(first.send(peer4, address("192.0.2.1")));
    ASSERT_TRUE(second.send(peer4, address("192.0.2.1")));
    EXPECT_TRUE(first.hears(address("192.0.2.1"), peer4, 2000, 0));
    EXPECT_TRUE(second.hears(address("192.0.2.1"), peer4, 2000, 0));
    EXPECT_TRUE(first.ping(peer6, address("2001:db8::1")));
    EXPECT_TRUE(second.ping(peer6, address("2001:db8::1")));
    // Not from one network into the other, over their transit addresses.
    EXPECT_FALSE(first.ping(peer4, address("100.126.0.5"), 300));
    // A source outside the network does not get out.
    EXPECT_FALSE(first.ping(address("10.99.0.1"), address("192.0.2.1"), 300));
  });
}

TEST(HostNet, TheHostForwardsForNobodyElse) {
  World::tell([](World& world) {
    // A second network of the host's, which it did not forward to before.
    ASSERT_DONE(os::Rtnl::open().value().add_veth("eth1", "eth1", world.upstream().get()));
    auto inside = os::Rtnl::open();
    auto outside = os::Rtnl::open_in(world.upstream());
    ASSERT_DONE(inside->add_address("eth1", prefix("198.51.100.1/24")));
    ASSERT_DONE(inside->set_up("eth1", true));
    ASSERT_DONE(outside->set_up("eth1", true));
    const auto host = world.open();
    ASSERT_DONE(plan::reconcile(*host, {world.network(world.name('a'), 1)}));
    ASSERT_EQ(output_of("sysctl -n net.ipv4.conf.eth0.forwarding"), "1\n");
    ASSERT_DONE(outside->add_route(
        {.destination = prefix("198.51.100.0/24"), .gateway = address("192.0.2.2")}));
    // Counts what leaves by eth1 for an address that is not the host's.
    output_of("ip neigh add 198.51.100.9 lladdr 02:00:00:00:00:09 dev eth1 nud permanent");
    output_of(
        "nft 'add table ip t; add chain ip t post { type filter hook postrouting priority 0; }; "
        "add rule ip t post oifname eth1 counter'");
    const auto knock = [&] {
      const auto done = os::in_netns(world.upstream(), [] {
        output_of("ping -c 1 -W 1 198.51.100.9");
        return base::Status();
      });
      ASSERT_TRUE(done);
    };
    knock();
    EXPECT_THAT(output_of("nft list table ip t"), HasSubstr("packets 0 "));
    // It is the guard that keeps it closed, and nothing else.
    output_of("nft flush set inet " + World::table() + " guarded4");
    knock();
    EXPECT_THAT(output_of("nft list table ip t"), HasSubstr("packets 1 "));
  });
}

TEST(HostNet, ForeignNamespaceIsRefusedWithItsOwner) {
  World::tell([](World& world) {
    const HostNetwork lab = world.network(world.name('a'), 1);
    const auto made = os::create_named_netns(lab.netns_name());
    ASSERT_TRUE(made);
    const auto before = snapshot();
    const auto host = world.open();
    auto done = plan::reconcile(*host, {lab});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::Conflict);
    EXPECT_THAT(done.error().message,
                HasSubstr("namespace " + lab.netns_name() + " exists and was not made by warren"));
    EXPECT_EQ(difference(before, snapshot()), "");
    ASSERT_DONE(os::Rtnl::open_in(*made).value().set_alias("lo", "warren:other"));
    EXPECT_THAT(plan::reconcile(*host, {lab}).error().message,
                HasSubstr("belongs to warren instance other"));
    // Nor is it removed as if it were ours.
    ASSERT_DONE(plan::reconcile(*host, {}));
    EXPECT_TRUE(std::filesystem::exists("/run/netns/" + lab.netns_name()));
  });
}

TEST(HostNet, RepairsWhatOthersBroke) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork lab = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    const std::string netns = lab.netns_name();
    in_space(netns, "ip link set " + lab.id.interface_name() + " down");
    in_space(netns, "ip route del default");
    in_space(netns, "nft flush chain inet warren forward");
    output_of("nft flush set inet " + World::table() + " transit4");
    output_of("sysctl -qw net.ipv4.conf.eth0.forwarding=0");
    EXPECT_GT(plan::reconcile(*host, {lab}).value(), 0U);
    EXPECT_THAT(plan::preview(*host, {lab}).value(), testing::IsEmpty());
    Peer peer = Peer::attach(netns, lab.id.interface_name());
    EXPECT_TRUE(peer.ping(address("10.20.0.5"), address("192.0.2.1")));
    EXPECT_TRUE(peer.ping(address("fd20::5"), address("2001:db8::1")));
  });
}

TEST(HostNet, AnUplinkThatIsDownConcernsItsNetworkAlone) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork lab = world.network(world.name('a'), 1);
    const HostNetwork other = world.network(world.name('b'), 2);
    ASSERT_DONE(plan::reconcile(*host, {lab, other}));
    const std::string right = output_of("nft list table inet " + World::table());
    // The kernel takes its IPv6 address away with it.
    output_of("ip link set " + lab.id.uplink_name() + " down");
    const std::vector<std::string> lines = plan::preview(*host, {lab, other}).value();
    EXPECT_THAT(lines, testing::Not(testing::IsEmpty()));
    for (const std::string& line : lines) {
      EXPECT_THAT(line, testing::Not(testing::HasSubstr("nft"))) << line;
      EXPECT_THAT(line, testing::Not(testing::HasSubstr(other.id.uplink_name()))) << line;
    }
    EXPECT_GT(plan::reconcile(*host, {lab, other}).value(), 0U);
    EXPECT_THAT(plan::preview(*host, {lab, other}).value(), testing::IsEmpty());
    EXPECT_EQ(output_of("nft list table inet " + World::table()), right);
  });
}

TEST(HostNet, ATransitAddressOfNobodyGoesAlone) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork lab = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    const std::string right = output_of("nft list table inet " + World::table());
    output_of("nft add element inet " + World::table() + " transit4 '{ 203.0.113.9 }'");
    EXPECT_THAT(plan::preview(*host, {lab}).value(),
                testing::ElementsAre("nft delete element inet " + World::table() +
                                     " transit4 '{ 203.0.113.9 }'"));
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_EQ(output_of("nft list table inet " + World::table()), right);
  });
}

TEST(HostNet, ItsPublicAddressesAreThoseOfTheLinksThatLeadOut) {
  World::tell([](World& world) {
    const auto host = world.open();
    output_of("ip link add d0 type dummy; ip addr add 10.99.0.1/24 dev d0; ip link set d0 up");
    EXPECT_THAT(host->public_addresses().value(),
                testing::UnorderedElementsAre(address("192.0.2.2"), address("2001:db8::2")));
  });
}

TEST(HostNet, SettingsThatOthersChangedSinceAreTheirs) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork lab = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    output_of("sysctl -qw net.ipv4.ip_forward=1");
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_THAT(plan::preview(*host, {lab}).value(), testing::IsEmpty());
    ASSERT_DONE(plan::reconcile(*host, {}));
    EXPECT_EQ(output_of("sysctl -n net.ipv4.conf.eth0.forwarding"), "1\n");
  });
}

TEST(HostNet, FailureAtAnyStepLeavesTheHostByteIdentical) {
  World::tell([](World& world) {
    // Fails the n-th step before the kernel sees it.
    class Failing final : public plan::Host {
     public:
      Failing(plan::Host& real, std::size_t at, bool batches)
          : real_(real), at_(at), batches_(batches) {}
      base::Result<plan::Observed> observe() override { return real_.observe(); }
      base::Status apply(const plan::Step& step) override {
        if (count_++ == at_) return base::make_error(ErrorKind::Failed, "injected failure");
        return real_.apply(step);
      }
      plan::Progress apply_in(const std::string& netns,
                              std::span<const plan::Step> steps) override {
        if (!batches_) return plan::Host::apply_in(netns, steps);
        const std::size_t first = std::exchange(count_, count_ + steps.size());
        const bool fails = at_ >= first && at_ < count_;
        if (!fails) return real_.apply_in(netns, steps);
        plan::Progress out = real_.apply_in(netns, steps.first(at_ - first));
        if (out.status) out.status = base::make_error(ErrorKind::Failed, "injected failure");
        return out;
      }
      base::Status remove_networks(std::span<const plan::Step> steps) override {
        return batches_ ? real_.remove_networks(steps) : plan::Host::remove_networks(steps);
      }
      base::Result<std::size_t> flush_connections(
          const HostNetwork& network, const std::vector<base::IpAddress>& addresses) override {
        return real_.flush_connections(network, addresses);
      }
      base::Status check_transit(const plan::TransitPool& pool) override {
        return real_.check_transit(pool);
      }
      base::Result<std::size_t> close_forwards(
          const HostNetwork& network, const std::vector<plan::HostForward>& forwards) override {
        return real_.close_forwards(network, forwards);
      }
      base::Status change_policy_members(const HostNetwork& network,
                                         const std::vector<model::GroupMember>& gone,
                                         const std::vector<model::GroupMember>& come) override {
        return real_.change_policy_members(network, gone, come);
      }
      base::Result<std::size_t> cut_denied(const HostNetwork& network) override {
        return real_.cut_denied(network);
      }
      base::Result<plan::SegmentFacts> find_segment(const std::string& link) override {
        return real_.find_segment(link);
      }
      base::Status change_attached_members(const HostNetwork& network,
                                           const std::vector<base::IpAddress>& gone,
                                           const std::vector<base::IpAddress>& come) override {
        return real_.change_attached_members(network, gone, come);
      }
      base::Result<std::vector<plan::Occupant>> find_occupants(
          const HostNetwork& network, const std::vector<base::IpAddress>& addresses) override {
        return real_.find_occupants(network, addresses);
      }
      base::Result<std::optional<plan::Obstacle>> probe_uplink(
          const HostNetwork& network) override {
        return real_.probe_uplink(network);
      }
      base::Result<std::optional<plan::Obstacle>> probe_segment(
          const HostNetwork& network) override {
        return real_.probe_segment(network);
      }
      base::Result<std::vector<plan::PortFinding>> probe_ports(
          const std::vector<plan::PortQuestion>& questions) override {
        return real_.probe_ports(questions);
      }
      base::Result<std::vector<std::string>> find_strangers(const HostNetwork& network) override {
        return real_.find_strangers(network);
      }
      base::Status check_public_port(const model::PublicPort& port) override {
        return real_.check_public_port(port);
      }
      base::Result<std::vector<std::string>> overlapping_routes(
          const base::Prefix& subnet) override {
        return real_.overlapping_routes(subnet);
      }

     private:
      plan::Host& real_;
      std::size_t at_;
      bool batches_;
      std::size_t count_ = 0;
    };
    const auto host = world.open();
    const HostNetwork lab = world.network(world.name('a'), 1);
    const auto before = snapshot();
    const std::size_t steps = plan::make_plan({lab}, host->observe().value()).value().size();
    ASSERT_GT(steps, 20U);
    for (std::size_t at = 0; at < 2 * steps; ++at) {
      Failing failing(*host, at / 2, at % 2 == 0);
      const auto done = plan::reconcile(failing, {lab});
      ASSERT_FALSE(done);
      EXPECT_THAT(done.error().message, HasSubstr("everything done before it was undone"));
      ASSERT_EQ(difference(before, snapshot()), "") << "failing step " << at / 2;
      ASSERT_FALSE(std::filesystem::exists("/run/netns/" + lab.netns_name()));
    }
  });
}

// What `kill -9` after any step leaves behind is ours to finish or to remove.
TEST(HostNet, ASuccessorFinishesOrRemovesWhatWasInterrupted) {
  World::tell([](World& world) {
    const HostNetwork lab = world.network(world.name('a'), 1);
    const auto before = snapshot();
    const auto plan = plan::make_plan({lab}, world.open()->observe().value()).value();
    for (std::size_t done = 0; done < plan.size(); ++done) {
      {
        const auto host = world.open();
        for (std::size_t at = 0; at < done; ++at) ASSERT_DONE(host->apply(plan[at]));
      }
      const auto successor = world.open();
      if (done % 2 == 0) {
        ASSERT_DONE(plan::reconcile(*successor, {lab}));
        ASSERT_THAT(plan::preview(*successor, {lab}).value(), testing::IsEmpty());
      }
      ASSERT_DONE(plan::reconcile(*successor, {}));
      ASSERT_EQ(difference(before, snapshot()), "") << "after " << done << " steps";
      ASSERT_FALSE(std::filesystem::exists("/run/netns/" + lab.netns_name()));
    }
  });
}

TEST(HostNet, FlushForgetsConnectionsOfAnAddressBothWays) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork lab = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    Peer peer = Peer::attach(lab.netns_name(), lab.id.interface_name());
    ASSERT_TRUE(peer.ping(address("10.20.0.5"), address("192.0.2.1")));
    ASSERT_TRUE(peer.ping(address("10.20.0.6"), address("192.0.2.1")));
    ASSERT_TRUE(peer.ping(address("fd20::5"), address("2001:db8::1")));
    // As the side that is talked to.
    ASSERT_TRUE(peer.send(address("10.20.0.6"), address("10.20.0.5")));
    ASSERT_TRUE(peer.hears(address("10.20.0.6"), address("10.20.0.5"), 2000, 8));
    EXPECT_EQ(host->flush_connections(lab, {address("10.20.0.5"), address("fd20::5")}).value(), 3U);
    EXPECT_EQ(host->flush_connections(lab, {address("10.20.0.5"), address("fd20::5")}).value(), 0U);
    EXPECT_EQ(host->flush_connections(lab, {address("10.20.0.6")}).value(), 1U);
  });
}

TEST(HostNet, TransitPoolMustNotOverlapTheHostsRoutes) {
  World::tell([](World& world) {
    const auto host = world.open();
    ASSERT_DONE(plan::reconcile(*host, {world.network(world.name('a'), 1)}));
    ASSERT_DONE(host->check_transit(World::pool()));
    ASSERT_DONE(os::Rtnl::open().value().add_route(
        {.destination = prefix("100.64.0.0/10"), .gateway = address("192.0.2.1")}));
    const auto refused = host->check_transit(World::pool());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::Conflict);
    EXPECT_THAT(refused.error().message, HasSubstr("route 100.64.0.0/10 dev eth0"));
  });
}

TEST(HostNet, WithoutPerInterfaceForwardingTheHostStaysClosedAndIsRestored) {
  World::tell([](World& world) {
    const auto before = snapshot();
    const auto host = world.open(World::instance(), false);
    HostNetwork lab = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_EQ(output_of("sysctl -n net.ipv6.conf.all.forwarding"), "1\n");
    EXPECT_EQ(output_of("sysctl -n net.ipv6.conf.eth0.accept_ra"), "2\n");
    EXPECT_THAT(plan::preview(*host, {lab}).value(), testing::IsEmpty());
    Peer peer = Peer::attach(lab.netns_name(), lab.id.interface_name());
    EXPECT_TRUE(peer.ping(address("fd20::5"), address("2001:db8::1")));
    ASSERT_DONE(plan::reconcile(*host, {}));
    EXPECT_EQ(difference(before, snapshot()), "");
  });
}

TEST(HostNet, InterruptedCreationIsTakenUp) {
  World::tell([](World& world) {
    const HostNetwork lab = world.network(world.name('a'), 1);
    // What a crash between making and marking a namespace leaves behind.
    std::ofstream(world.state_file())
        << R"({"version":1,"namespaces":[")" << lab.netns_name() << R"("],"sysctls":{}})";
    ASSERT_TRUE(os::create_named_netns(lab.netns_name()));
    const auto host = world.open();
    ASSERT_NE(host, nullptr);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_THAT(plan::preview(*host, {lab}).value(), testing::IsEmpty());
  });
}

TEST(HostNet, MalformedRecordsAreRefused) {
  World::tell([](World& world) {
    std::ofstream(world.state_file()) << "{\"version\":1";
    const auto made = HostNet::open({.instance = "testing", .state_file = world.state_file()});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().kind, ErrorKind::Invalid);
    EXPECT_THAT(made.error().message, HasSubstr(world.state_file()));
  });
}

}  // namespace
}  // namespace warren::hostnet
