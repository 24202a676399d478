// A host that lives on router advertisements (a real radvd upstream) keeps its IPv6 default route
// when a network is created, on kernels with and without per-interface forwarding.
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "hostnet/test_ping.hpp"
#include "hostnet/test_world.hpp"
#include "os/rtnl.hpp"

namespace warren::hostnet {
namespace {

using testing::HasSubstr;

constexpr const char* kRadvd = "/usr/sbin/radvd";
constexpr std::uint8_t kFromAdvertisement = 9;  // RTPROT_RA

/// radvd in the foreground, in the upstream's namespace; ended with this object.
class Advertiser {
 public:
  Advertiser(const os::Fd& upstream, const std::string& folder) {
    const std::string conf = folder + "/radvd.conf";
    std::ofstream(conf) << "interface eth0 { AdvSendAdvert on; MinRtrAdvInterval 3;\n"
                           "  MaxRtrAdvInterval 4; AdvDefaultLifetime 1800;\n"
                           "  prefix 2001:db8:aa::/64 { AdvOnLink on; AdvAutonomous on; }; };\n";
    const std::string pid_file = folder + "/radvd.pid";
    std::thread([&] {
      if (setns(upstream.get(), CLONE_NEWNET) != 0) return;
      std::ofstream("/proc/sys/net/ipv6/conf/all/forwarding") << "1";
      child_ = fork();
      if (child_ != 0) return;
      execl(kRadvd, kRadvd, "-n", "-C", conf.c_str(), "-p", pid_file.c_str(), "-m", "logfile", "-l",
            (folder + "/radvd.log").c_str(), nullptr);
      _exit(127);
    }).join();
  }
  ~Advertiser() {
    if (child_ <= 0) return;
    kill(child_, SIGTERM);
    waitpid(child_, nullptr, 0);
  }
  Advertiser(const Advertiser&) = delete;
  Advertiser& operator=(const Advertiser&) = delete;

 private:
  pid_t child_ = -1;
};

bool has_advertised_route(os::Rtnl& rtnl) {
  const auto routes = rtnl.routes();
  return routes && std::ranges::any_of(*routes, [](const os::Route& route) {
           return route.destination.length == 0 && route.destination.address.is_v6() &&
                  route.protocol == kFromAdvertisement;
         });
}

// Waits for `condition`, looking again at each change of the network.
template <typename Condition>
bool wait_until(const Condition& condition) {
  auto watcher = os::Rtnl::open();
  if (!watcher || !watcher->subscribe()) return false;
  for (int attempt = 0; attempt < 80; ++attempt) {
    if (condition()) return true;
    pollfd waiting{.fd = watcher->descriptor(), .events = POLLIN, .revents = 0};
    poll(&waiting, 1, 250);
    (void)watcher->drain_changes();
  }
  return false;
}

void keeps_its_route(World& world, bool use_force_forwarding) {
  if (access(kRadvd, X_OK) != 0) GTEST_SKIP() << "radvd is not installed";
  // Only what is advertised: no static IPv6 route, and no address to hide behind.
  auto rtnl = os::Rtnl::open();
  ASSERT_TRUE(rtnl);
  ASSERT_DONE(rtnl->delete_route({.destination = prefix("::/0")}));
  std::ofstream("/proc/sys/net/ipv6/conf/eth0/accept_ra") << "1";
  const Advertiser advertiser(world.upstream(), world.folder());
  ASSERT_TRUE(wait_until([&] { return has_advertised_route(*rtnl); }))
      << "no advertisement arrived: " << std::ifstream(world.folder() + "/radvd.log").rdbuf();

  const auto host = world.open(World::instance(), use_force_forwarding);
  const plan::HostNetwork lab = world.network(world.name('a'), 1);
  const std::string before = output_of("sysctl -n net.ipv6.conf.eth0.accept_ra");
  ASSERT_DONE(plan::reconcile(*host, {lab}));
  EXPECT_TRUE(has_advertised_route(*rtnl)) << output_of("ip -6 route");
  Peer peer = Peer::attach(lab.netns_name(), lab.id.interface_name());
  EXPECT_TRUE(peer.ping(address("fd20::5"), address("2001:db8::1")));

  // And it still takes new ones: a route that is deleted comes back with the next advertisement.
  output_of("ip -6 route del default proto ra");
  ASSERT_FALSE(has_advertised_route(*rtnl));
  EXPECT_TRUE(wait_until([&] { return has_advertised_route(*rtnl); }));

  ASSERT_DONE(plan::reconcile(*host, {}));
  EXPECT_TRUE(has_advertised_route(*rtnl)) << output_of("ip -6 route");
  EXPECT_EQ(output_of("sysctl -n net.ipv6.conf.eth0.accept_ra"), before);
  EXPECT_EQ(output_of("sysctl -n net.ipv6.conf.all.forwarding"), "0\n");
}

TEST(AdvertisedHost, KeepsItsDefaultRoute) {
  World::tell([](World& world) { keeps_its_route(world, true); });
}

TEST(AdvertisedHost, KeepsItsDefaultRouteWithoutPerInterfaceForwarding) {
  World::tell([](World& world) { keeps_its_route(world, false); });
}

}  // namespace
}  // namespace warren::hostnet
