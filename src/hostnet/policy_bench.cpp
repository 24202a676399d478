// What a policy costs: a packet through the kernel, and a change, with few members and with many.
// In a network namespace of its own, which goes with the program; needs root.
#include <benchmark/benchmark.h>
#include <sched.h>

#include <fstream>
#include <string>

#include "hostnet/nftables.hpp"
#include "hostnet/test_probe.hpp"
#include "os/rtnl.hpp"
#include "plan/policy.hpp"

namespace warren::hostnet {
namespace {

constexpr const char* kTun = "wr00be7c4a";

plan::HostNetwork network() {
  plan::HostNetwork out;
  out.id = {0x00be7c4a};
  return out;
}

base::IpAddress member(std::uint32_t number) { return base::IpAddress::v4(0x0a140002U + number); }

/// So many members of two roles, and ten rules between these.
model::PolicyTable table(std::uint32_t members) {
  model::PolicyTable out;
  for (std::uint32_t n = 0; n < members; ++n) {
    out.members.push_back({member(n), model::kFirstRoleGroup + 1 + n % 2});
  }
  for (std::uint16_t port = 1000; port < 1010; ++port) {
    out.rules.push_back({model::kFirstRoleGroup + 1,
                         model::kFirstRoleGroup + 2,
                         {.first_protocol = model::kUdp,
                          .last_protocol = model::kUdp,
                          .first_port = port,
                          .last_port = port}});
  }
  return out;
}

/// A router with one tun and, unless there are no members, their policy.
class Router {
 public:
  explicit Router(std::uint32_t members) { problem_ = build(members); }

  [[nodiscard]] const base::Status& problem() const { return problem_; }
  /// Sends a packet and waits until it has come out again.
  bool pass(base::Bytes packet) {
    const std::array<base::Bytes, 1> pieces = {packet};
    if (!os::write_pieces(tun_, pieces)) return false;
    std::array<std::uint8_t, 2048> buffer{};
    for (;;) {
      const auto size = os::read_packet(tun_, buffer);
      if (size && *size == packet.size()) return true;
      pollfd waiting{.fd = tun_.get(), .events = POLLIN, .revents = 0};
      if (poll(&waiting, 1, 1000) != 1) return false;
    }
  }

 private:
  base::Status build(std::uint32_t members) {
    if (unshare(CLONE_NEWNET) != 0) return base::os_error("make a network namespace");
    std::ofstream("/proc/sys/net/ipv4/conf/all/forwarding") << "1";
    std::ofstream("/proc/sys/net/ipv4/conf/all/rp_filter") << "0";
    std::ofstream("/proc/sys/net/ipv4/conf/all/send_redirects") << "0";
    std::ofstream("/proc/sys/net/ipv4/conf/default/send_redirects") << "0";
    WARREN_TRY_ASSIGN(os::Tun tun, os::open_tun({.name = kTun}));
    tun_ = std::move(tun.descriptor);
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
    WARREN_TRY(rtnl.add_address(kTun, {base::IpAddress::v4(0x0a140001), 16}));
    WARREN_TRY(rtnl.set_up(kTun, true));
    // As without a policy: connections are tracked.
    WARREN_TRY(
        run_nft("table inet plain {\nchain forward {\ntype filter hook forward priority 0\n"
                "ct state invalid drop\n}\n}\n"));
    if (members == 0) return {};
    return run_nft(plan::policy_table_text(network()) + plan::policy_script({}, table(members)));
  }

  os::Fd tun_;
  base::Status problem_;
};

enum class Asked { Always, Once };

void pass_packet(benchmark::State& run, Asked asked) {
  Router router(static_cast<std::uint32_t>(run.range(0)));
  if (!router.problem()) return run.SkipWithError(router.problem().error().message.c_str());
  Probe probe{
      .from = member(0), .to = member(1), .protocol = model::kUdp, .from_port = 9, .to_port = 1005};
  const auto packet = packet_of(probe);
  if (asked == Asked::Once) {
    // What was answered is established, and the rules are not asked again.
    std::swap(probe.from, probe.to);
    std::swap(probe.from_port, probe.to_port);
    if (!router.pass(packet) || !router.pass(packet_of(probe))) run.SkipWithError("no answer");
  }
  for (auto _ : run) {
    if (!router.pass(packet)) run.SkipWithError("a packet was lost");
  }
}
BENCHMARK_CAPTURE(pass_packet, asked_each_time, Asked::Always)->Arg(0)->Arg(10)->Arg(10'000);
BENCHMARK_CAPTURE(pass_packet, established, Asked::Once)->Arg(0)->Arg(10)->Arg(10'000);

void one_member_more(benchmark::State& run) {
  const auto members = static_cast<std::uint32_t>(run.range(0));
  const Router router(members);
  if (!router.problem()) return run.SkipWithError(router.problem().error().message.c_str());
  const std::vector<model::GroupMember> fresh{{member(members + 5), model::kFirstRoleGroup + 1}};
  bool there = false;
  for (auto _ : run) {
    const auto script = there ? plan::members_script(fresh, {}) : plan::members_script({}, fresh);
    if (!run_nft(script)) run.SkipWithError("the member was not added");
    there = !there;
  }
}
BENCHMARK(one_member_more)->Arg(10)->Arg(10'000)->Unit(benchmark::kMillisecond);

void another_policy(benchmark::State& run) {
  const auto members = static_cast<std::uint32_t>(run.range(0));
  const Router router(members);
  if (!router.problem()) return run.SkipWithError(router.problem().error().message.c_str());
  model::PolicyTable is = table(members);
  model::PolicyTable next = is;
  next.rules.pop_back();
  for (auto _ : run) {
    if (!run_nft(plan::policy_script(is, next))) run.SkipWithError("it was not changed");
    std::swap(is, next);
  }
}
BENCHMARK(another_policy)->Arg(10)->Arg(10'000)->Unit(benchmark::kMillisecond);

void whole_table(benchmark::State& run) {
  const auto members = static_cast<std::uint32_t>(run.range(0));
  const Router router(0);
  if (!router.problem()) return run.SkipWithError(router.problem().error().message.c_str());
  const std::string clear = std::string("add table inet ") + plan::kPolicyTable +
                            "\ndelete table inet " + plan::kPolicyTable + "\n";
  for (auto _ : run) {
    const auto script = plan::policy_script({}, table(members));
    if (!run_nft(clear + plan::policy_table_text(network()) + script))
      run.SkipWithError("not loaded");
  }
}
BENCHMARK(whole_table)->Arg(10)->Arg(10'000)->Unit(benchmark::kMillisecond);

void read_back(benchmark::State& run) {
  const Router router(static_cast<std::uint32_t>(run.range(0)));
  if (!router.problem()) return run.SkipWithError(router.problem().error().message.c_str());
  for (auto _ : run) {
    if (!list_nft_policy(plan::kPolicyTable)) run.SkipWithError("it was not read");
  }
}
BENCHMARK(read_back)->Arg(10)->Arg(10'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace warren::hostnet
