// What others' packet filters do to packets of ours, and who they are found to be.
#include <arpa/inet.h>
#include <gmock/gmock.h>

#include "hostnet/test_world.hpp"

namespace warren::hostnet {
namespace {

using model::Protocol;
using plan::HostNetwork;
using plan::PortFinding;
using testing::HasSubstr;

constexpr const char* kDocker =
    "table ip filter { chain DOCKER-USER { return; }; chain FORWARD { type filter hook forward "
    "priority 0; policy drop; jump DOCKER-USER; }; }";
constexpr const char* kUfw =
    "table ip filter { chain ufw-before-forward { }; chain ufw-user-input { }; chain FORWARD { "
    "type filter hook forward priority 0; policy drop; jump ufw-before-forward; }; chain INPUT { "
    "type filter hook input priority 0; policy drop; jump ufw-user-input; }; }";
constexpr const char* kFirewalld =
    "table inet firewalld { chain filter_INPUT { type filter hook input priority 10; ct state "
    "established accept; reject with icmpx admin-prohibited; }; chain filter_FORWARD { type filter "
    "hook forward priority 10; reject with icmpx admin-prohibited; }; }";
constexpr const char* kOwn =
    "table inet fence { chain gate { type filter hook forward priority 5; iifname \"wh*\" drop; }; "
    "chain door { type filter hook input priority 5; policy drop; tcp dport 22 accept; }; }";

TEST(UplinkProbe, NamesWhoDropsAndLeavesNothing) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork lab = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    const auto before = snapshot();
    const auto free = host->probe_uplink(lab);
    ASSERT_DONE(free);
    EXPECT_FALSE(free->has_value()) << (*free)->what;
    EXPECT_EQ(difference(before, snapshot()), "");
    const std::map<std::string, std::string> remedies = {
        {kDocker, "iptables -I DOCKER-USER -i wh+ -j ACCEPT"},
        {kUfw, "ufw route allow in on wh+"},
        {kFirewalld, "firewall-cmd --permanent --zone=trusted --add-interface=wh+"},
        {kOwn, "nft insert rule inet fence gate iifname \"wh*\" accept"}};
    for (const auto& [rules, remedy] : remedies) {
      EXPECT_EQ(output_of("nft '" + std::string(rules) + "'"), "");
      const auto found = host->probe_uplink(lab);
      ASSERT_DONE(found);
      ASSERT_TRUE(found->has_value()) << rules;
      EXPECT_THAT((*found)->remedy, HasSubstr(remedy));
      EXPECT_EQ(output_of("nft delete table " +
                          std::string(rules).substr(6, std::string(rules).find('{') - 6)),
                "");
      EXPECT_EQ(difference(before, snapshot()), "");
    }
  });
}

TEST(UplinkProbe, TheRemedyIsOne) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork lab = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    EXPECT_EQ(output_of("nft '" + std::string(kOwn) + "'"), "");
    const auto found = host->probe_uplink(lab);
    ASSERT_DONE(found);
    ASSERT_TRUE(found->has_value());
    EXPECT_THAT((*found)->what, HasSubstr("iifname \"wh*\" drop"));
    EXPECT_EQ(output_of("nft '" + (*found)->remedy.substr(4) + "'"), "");
    EXPECT_FALSE(host->probe_uplink(lab)->has_value());
  });
}

/// A socket of the host's that has a port.
os::Fd listen_on(Protocol protocol, std::uint16_t port) {
  const bool tcp = protocol == Protocol::Tcp;
  os::Fd socket(::socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
  sockaddr_in here{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
  EXPECT_EQ(bind(socket.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here), 0);
  if (tcp) {
    EXPECT_EQ(listen(socket.get(), 1), 0);
  }
  return socket;
}

TEST(PortProbe, TellsWhatIsOpenWhoListensAndWhoIsInTheWay) {
  World::tell([](World& world) {
    const auto host = world.open();
    HostNetwork lab = world.network(world.name('a'), 1);
    lab.forwards.push_back(
        {.from = {Protocol::Tcp, 8080}, .to4 = address("10.20.0.5"), .to6 = {}, .to_port = 80});
    ASSERT_DONE(plan::reconcile(*host, {lab}));
    const os::Fd engine = listen_on(Protocol::Udp, 51820);
    const os::Fd enrolment = listen_on(Protocol::Tcp, 51800);
    const std::vector<plan::PortQuestion> questions = {
        {.port = {Protocol::Udp, 51820}, .is_forward = false, .at = address("192.0.2.2")},
        {.port = {Protocol::Tcp, 51800}, .is_forward = false, .at = {}},
        {.port = {Protocol::Udp, 51821}, .is_forward = false, .at = address("203.0.113.9")},
        {.port = {Protocol::Tcp, 8080}, .is_forward = true, .at = {}}};
    const auto before = snapshot();
    const auto open = host->probe_ports(questions);
    ASSERT_DONE(open);
    ASSERT_EQ(open->size(), 4U);
    for (const PortFinding& one : *open) {
      EXPECT_TRUE(one.asked) << one.port.to_string() << one.why_not;
      EXPECT_FALSE(one.obstacle) << one.port.to_string() << one.obstacle->what;
    }
    EXPECT_EQ((*open)[3].link, (*open)[0].link);
    EXPECT_THAT((*open)[0].listener, HasSubstr("process"));
    EXPECT_THAT((*open)[1].listener, HasSubstr("process"));
    EXPECT_EQ((*open)[2].listener, "");
    EXPECT_EQ((*open)[3].listener, "");
    EXPECT_EQ(difference(before, snapshot()), "");
    // No program was asked: nothing is to be read, nobody to be accepted.
    char byte = 0;
    EXPECT_LT(recv(engine.get(), &byte, 1, MSG_DONTWAIT), 0);
    const std::map<std::string, std::string> remedies = {
        {kUfw, "ufw allow 51820/udp"},
        {kFirewalld, "firewall-cmd --permanent --add-port=51820/udp"},
        {kOwn, "nft insert rule inet fence door udp dport 51820 accept"}};
    for (const auto& [rules, remedy] : remedies) {
      EXPECT_EQ(output_of("nft '" + std::string(rules) + "'"), "");
      const auto found = host->probe_ports(questions);
      ASSERT_DONE(found);
      ASSERT_TRUE((*found)[0].obstacle) << rules;
      EXPECT_THAT((*found)[0].obstacle->remedy, HasSubstr(remedy));
      EXPECT_TRUE((*found)[1].obstacle);
      // The fence's gate is open for what comes from outside.
      EXPECT_EQ((*found)[3].obstacle.has_value(), rules != kOwn) << rules;
      EXPECT_EQ(output_of("nft delete table " +
                          std::string(rules).substr(6, std::string(rules).find('{') - 6)),
                "");
      EXPECT_EQ(difference(before, snapshot()), "");
    }
  });
}

/// A second way to the host: eth1 198.51.100.1/24, which no default route leads to.
void add_second_link(World& world) {
  auto host = os::Rtnl::open().value();
  auto upstream = os::Rtnl::open_in(world.upstream()).value();
  ASSERT_DONE(host.add_veth("eth1", "eth1", world.upstream().get()));
  for (os::Rtnl* side : {&host, &upstream}) ASSERT_DONE(side->set_up("eth1", true));
  ASSERT_DONE(host.add_address("eth1", prefix("198.51.100.1/24")));
  ASSERT_DONE(host.add_address("eth1", prefix("2001:db8:1::1/64")));
}

const std::vector<plan::PortQuestion> kOnEachLink = {
    {.port = {Protocol::Udp, 51820}, .is_forward = false, .at = address("192.0.2.2")},
    {.port = {Protocol::Udp, 51820}, .is_forward = false, .at = address("198.51.100.1")},
    {.port = {Protocol::Tcp, 51800}, .is_forward = false, .at = address("2001:db8::2")},
    {.port = {Protocol::Tcp, 51800}, .is_forward = false, .at = address("2001:db8:1::1")}};

/// Whether packets got through, one letter for each question: "..x.".
std::string verdicts(const std::vector<PortFinding>& findings) {
  std::string out;
  for (const PortFinding& one : findings) out += !one.asked ? '?' : one.obstacle ? 'x' : '.';
  return out;
}

class ByLink : public testing::Test {
 protected:
  /// A story on a host with two links, whose filters are asked about on each; skipped where the
  /// kernel cannot redirect packets.
  static void tell(const std::function<void(HostNet&)>& story) {
    World::tell([&](World& world) {
      ASSERT_NO_FATAL_FAILURE(add_second_link(world));
      const auto host = world.open();
      const auto before = snapshot();
      const auto open = host->probe_ports(kOnEachLink);
      ASSERT_DONE(open);
      if (open->front().link.empty()) GTEST_SKIP() << "this kernel cannot redirect packets";
      EXPECT_EQ(verdicts(*open), "....");
      std::string links;
      for (const PortFinding& one : *open) links += one.link + " ";
      EXPECT_EQ(links, "eth0 eth1 eth0 eth1 ");
      EXPECT_EQ(difference(before, snapshot()), "");
      story(*host);
    });
  }
  static std::vector<PortFinding> after(HostNet& host, const std::string& rules) {
    EXPECT_EQ(output_of("nft flush ruleset"), "");
    EXPECT_EQ(output_of("nft '" + rules + "'"), "");
    auto findings = host.probe_ports(kOnEachLink);
    EXPECT_TRUE(findings) << findings.error().message;
    return findings ? std::move(*findings) : std::vector<PortFinding>(kOnEachLink.size());
  }
};

TEST_F(ByLink, ARuleForOneLinkIsNoOthers) {
  tell([](HostNet& host) {
    const auto one = after(host,
                           "table inet fence { chain door { type filter hook input priority 5; "
                           "iifname \"eth0\" tcp dport 22 drop; iifname \"eth1\" udp dport 51820 "
                           "drop; }; }");
    EXPECT_EQ(verdicts(one), ".x..");
    EXPECT_THAT(one[1].obstacle->what,
                HasSubstr("rule \"iifname \"eth1\" udp dport 51820 drop\" of chain door"));
    EXPECT_EQ(output_of("nft '" + one[1].obstacle->remedy.substr(4) + "'"), "");
    EXPECT_EQ(verdicts(host.probe_ports(kOnEachLink).value()), "....");
    // The other way round: all is closed but what comes in on one.
    EXPECT_EQ(verdicts(after(host,
                             "table inet fence { chain door { type filter hook input priority 5; "
                             "policy drop; iifname { \"lo\", \"eth0\" } accept; }; }")),
              ".x.x");
    EXPECT_EQ(verdicts(after(host,
                             "table inet fence { chain wan { udp dport 51820 drop; }; chain door { "
                             "type filter hook input priority 5; iifname vmap { \"eth0\" : jump "
                             "wan }; }; }")),
              "x...");
  });
}

TEST_F(ByLink, TheProgramsThatKnowLinksAreToldOfThem) {
  tell([](HostNet& host) {
    const auto zones = after(
        host,
        "table inet firewalld { chain filter_IN_public { tcp dport 22 accept; }; chain "
        "filter_IN_trusted { accept; }; chain filter_INPUT_ZONES { iifname \"eth1\" goto "
        "filter_IN_public; goto filter_IN_trusted; }; chain filter_INPUT { type filter hook input "
        "priority 10; ct state established accept; jump filter_INPUT_ZONES; reject with icmpx "
        "admin-prohibited; }; }");
    EXPECT_EQ(verdicts(zones), ".x.x");
    EXPECT_THAT(zones[1].obstacle->remedy,
                HasSubstr("firewall-cmd --permanent --zone=public --add-port=51820/udp"));
    const auto ufw = after(host,
                           "table ip filter { chain ufw-user-input { iifname \"eth1\" udp dport "
                           "51820 drop; accept; }; chain INPUT { type filter hook input priority "
                           "0; policy drop; jump ufw-user-input; }; }");
    EXPECT_EQ(verdicts(ufw), ".x..");
    EXPECT_EQ(ufw[1].obstacle->remedy, "ufw insert 1 allow in on eth1 to any port 51820 proto udp");
  });
}

TEST_F(ByLink, TheReversePathIsChecked) {
  tell([](HostNet& host) {
    output_of("sysctl -qw net.ipv4.conf.all.rp_filter=1");
    EXPECT_EQ(verdicts(host.probe_ports(kOnEachLink).value()), "....");
  });
}

}  // namespace
}  // namespace warren::hostnet
