// A small world for tests: a network namespace that plays the gateway's host, linked to one that
// plays its upstream. Nothing of the machine's is seen or touched but names in /run/netns, which
// carry the test's process id.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include "hostnet/host_net.hpp"
#include "os/netns.hpp"
#include "os/process.hpp"

namespace warren::hostnet {

#define ASSERT_DONE(expr)                                                      \
  do {                                                                         \
    const auto& done_ = (expr);                                                \
    ASSERT_TRUE(done_) << done_.error().message << "\n" << done_.error().hint; \
  } while (false)

/// The output of a shell command run in the calling thread's namespace, standard error included.
inline std::string output_of(const std::string& command) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return "pipe failed";
  const os::Fd reader(ends[0]);
  os::Fd writer(ends[1]);
  const auto child = os::spawn({.argv = {"/bin/sh", "-c", command},
                                .environment = std::nullopt,
                                .descriptors = {{1, &writer}, {2, &writer}},
                                .working_directory = std::nullopt});
  if (!child) return child.error().message;
  writer.reset();
  std::string out;
  std::array<char, 4096> buffer{};
  for (ssize_t size = 0; (size = read(reader.get(), buffer.data(), buffer.size())) > 0;)
    out.append(buffer.data(), static_cast<std::size_t>(size));
  const auto code = os::wait_for(*child);
  if (!code || *code != 0) out += "\n[exit code " + std::to_string(code.value_or(-1)) + "]";
  return out;
}

inline std::string in_space(const std::string& netns, const std::string& command) {
  return output_of("nsenter --net=/run/netns/" + netns + " " + command);
}

inline base::Prefix prefix(const char* text) { return base::Prefix::parse(text).value(); }
inline base::IpAddress address(const char* text) { return base::IpAddress::parse(text).value(); }

/// Everything a network may change in the host, as the kernel's own tools show it.
inline std::map<std::string, std::string> snapshot() {
  std::map<std::string, std::string> out;
  for (const char* command : {"ip -j link", "ip -j addr", "ip -j -4 route show table all",
                              "ip -j -6 route show table all", "ip -j rule", "nft -j list ruleset"})
    out[command] = output_of(command);
  // Duplicate address detection ends when it ends.
  std::string& addresses = out["ip -j addr"];
  const std::string tentative = ",\"tentative\":true";
  for (std::size_t at = 0; (at = addresses.find(tentative, at)) != std::string::npos;)
    addresses.erase(at, tentative.size());
  for (const char* folder : {"/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf"}) {
    std::error_code failure;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, failure)) {
      std::ostringstream text;
      text << std::ifstream(entry.path()).rdbuf();
      out[entry.path().string()] = text.str();
    }
  }
  return out;
}

/// What differs between two snapshots, one line each.
inline std::string difference(const std::map<std::string, std::string>& before,
                              const std::map<std::string, std::string>& after) {
  std::string out;
  for (const auto& [key, value] : before)
    if (!after.contains(key) || after.at(key) != value)
      out += key + ": " + value + " -> " + (after.contains(key) ? after.at(key) : "(none)") + "\n";
  for (const auto& [key, value] : after)
    if (!before.contains(key)) out += key + ": (none) -> " + value + "\n";
  return out;
}

class World {
 public:
  /// Runs a story on a thread in a fresh "host": eth0 192.0.2.2/24 and 2001:db8::2/64 with default
  /// routes to the upstream's .1 and ::1.
  static void tell(const std::function<void(World&)>& story) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to make network namespaces";
    std::thread([&] {
      World world;
      ASSERT_NO_FATAL_FAILURE(world.build());
      story(world);
      for (const std::string& name : world.names_) (void)os::delete_named_netns("warren-" + name);
      std::error_code failure;
      std::filesystem::remove_all(world.folder_, failure);
    }).join();
  }

  /// A network's name that no other test on the machine uses.
  std::string name(char last) {
    static std::atomic<unsigned> counter = 0;
    std::string out = "t" + std::to_string(getpid()) + "x" + std::to_string(counter++) + last;
    names_.push_back(out);
    return out;
  }
  plan::HostNetwork network(const std::string& name, std::uint32_t index) {
    model::Network noun;
    noun.id = {0x5e570000U + index};
    noun.name = name;
    noun.transit = index;
    noun.subnet4 = prefix("10.20.0.0/24");
    noun.subnet6 = prefix("fd20::/64");
    return plan::host_network(noun, pool());
  }
  static plan::TransitPool pool() {
    return {.v4 = prefix("100.126.0.0/16"), .v6 = prefix("fd77:6172:7265:6e00::/64")};
  }
  /// The gateway's own, and one of this process alone: names of namespaces are seen by all.
  static std::string instance() { return "t" + std::to_string(getpid()); }
  /// Its table in the host.
  static std::string table() { return "warren_" + instance(); }
  std::unique_ptr<HostNet> open(const std::string& instance = World::instance(),
                                bool use_force_forwarding = true) {
    auto made = HostNet::open({.instance = instance,
                               .state_file = state_file(),
                               .use_force_forwarding = use_force_forwarding});
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(*made) : nullptr;
  }
  [[nodiscard]] const std::string& folder() const { return folder_; }
  [[nodiscard]] std::string state_file() const { return folder_ + "/host.json"; }
  [[nodiscard]] const os::Fd& upstream() const { return upstream_; }

 private:
  void build() {
    std::string pattern = (std::filesystem::temp_directory_path() / "wt-hostnet-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    std::thread([&] {
      ASSERT_EQ(unshare(CLONE_NEWNET), 0);
      upstream_ = std::move(os::current_netns().value());
    }).join();
    quiet();
    ASSERT_DONE(os::in_netns(upstream_, [] {
      quiet();
      return base::Status();
    }));
    auto host = os::Rtnl::open();
    auto upstream = os::Rtnl::open_in(upstream_);
    ASSERT_TRUE(host && upstream);
    ASSERT_DONE(host->add_veth("eth0", "eth0", upstream_.get()));
    for (os::Rtnl* side : {&*host, &*upstream}) {
      ASSERT_DONE(side->set_up("lo", true));
      ASSERT_DONE(side->set_up("eth0", true));
    }
    ASSERT_DONE(host->add_address("eth0", prefix("192.0.2.2/24")));
    ASSERT_DONE(host->add_address("eth0", prefix("2001:db8::2/64")));
    ASSERT_DONE(upstream->add_address("eth0", prefix("192.0.2.1/24")));
    ASSERT_DONE(upstream->add_address("eth0", prefix("2001:db8::1/64")));
    ASSERT_DONE(
        host->add_route({.destination = prefix("0.0.0.0/0"), .gateway = address("192.0.2.1")}));
    ASSERT_DONE(
        host->add_route({.destination = prefix("::/0"), .gateway = address("2001:db8::1")}));
    ASSERT_TRUE(wait_for_own_address("eth0"));
  }
  /// The address that a link makes for itself comes some time after the link is up.
  static bool wait_for_own_address(const std::string& link) {
    auto watcher = os::Rtnl::open();
    if (!watcher || !watcher->subscribe()) return false;
    for (int attempt = 0; attempt < 80; ++attempt) {
      const std::string routes = output_of("ip -6 route show table local dev " + link);
      if (routes.find("fe80:") != std::string::npos) return true;
      pollfd waiting{.fd = watcher->descriptor(), .events = POLLIN, .revents = 0};
      poll(&waiting, 1, 250);
      (void)watcher->drain_changes();
    }
    return false;
  }
  // IPv4 settings are copied from the machine: make them known. No duplicate address detection, so
  // that nothing changes by itself while a test looks.
  static void quiet() {
    std::ofstream("/proc/sys/net/ipv4/conf/all/forwarding") << "0";
    std::ofstream("/proc/sys/net/ipv4/conf/all/rp_filter") << "0";
    std::ofstream("/proc/sys/net/ipv4/conf/default/rp_filter") << "0";
    std::ofstream("/proc/sys/net/ipv6/conf/default/accept_dad") << "0";
    std::ofstream("/proc/sys/net/ipv6/conf/default/dad_transmits") << "0";
    std::ofstream("/proc/sys/net/ipv6/conf/default/router_solicitations") << "0";
  }

  os::Fd upstream_;
  std::string folder_;
  std::vector<std::string> names_;
};

}  // namespace warren::hostnet
