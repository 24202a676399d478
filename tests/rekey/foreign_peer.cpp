#include "foreign_peer.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "crypto/crypto.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/netns.hpp"

namespace warren::rekey {

namespace {

constexpr const char* kProgram = "/usr/bin/wireguard-go";
constexpr base::Duration kStartLimit = std::chrono::seconds(5);

}  // namespace

Finished run(const std::string& command) {
  Finished out;
  FILE* pipe = popen((command + " 2>&1").c_str(), "re");
  if (pipe == nullptr) return {127, "popen failed"};
  char piece[4096];
  while (const std::size_t size = std::fread(piece, 1, sizeof piece, pipe)) {
    out.text.append(piece, size);
  }
  const int status = pclose(pipe);
  out.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return out;
}

std::string ForeignPeer::missing() {
  if (geteuid() != 0) return "root, to make network namespaces";
  for (const char* program : {kProgram, "/usr/bin/wg", "/usr/bin/nsenter", "/usr/bin/ping"}) {
    if (!std::filesystem::exists(program)) return std::string("the program ") + program;
  }
  if (!std::filesystem::exists("/dev/net/tun")) return "/dev/net/tun";
  return {};
}

ForeignPeer::ForeignPeer()
    : namespace_("wt" + std::to_string(getpid()) + "-rekey"),
      interface_("wt" + std::to_string(getpid()) + "r") {
  auto netns = os::create_named_netns(namespace_);
  if (!netns) {
    ADD_FAILURE() << netns.error().message;
    return;
  }
  netns_ = std::move(*netns);
  run_inside("ip link set lo up");
  make_key();
  start();
}

void ForeignPeer::make_key() {
  os::SystemRandom random;
  const crypto::PrivateKey key = crypto::generate_private_key(random);
  public_key_ = crypto::public_key(key);
  FILE* file = std::fopen((scratch_ / "key").c_str(), "we");
  ASSERT_NE(file, nullptr);
  std::fputs((base::to_base64(key.view()) + "\n").c_str(), file);
  std::fclose(file);
}

ForeignPeer::~ForeignPeer() {
  stop();
  std::error_code ignored;
  std::filesystem::remove("/var/run/wireguard/" + interface_ + ".sock", ignored);
  if (netns_) {
    EXPECT_TRUE(os::delete_named_netns(namespace_));
  }
}

void ForeignPeer::start() {
  // With the variable it does not ask whether the kernel could do its work.
  auto child =
      os::spawn({.argv = {"/usr/bin/nsenter", "--net=/run/netns/" + namespace_, "/usr/bin/env",
                          "WG_PROCESS_FOREGROUND=1", "LOG_LEVEL=error", kProgram, "-f", interface_},
                 .die_with_parent = true});
  ASSERT_TRUE(child) << child.error().message;
  program_ = std::move(*child);
  const std::string show = "wg show " + interface_;
  const base::Instant limit = os::now() + kStartLimit;
  while (run("nsenter --net=/run/netns/" + namespace_ + " " + show).code != 0) {
    ASSERT_LT(os::now(), limit) << kProgram << " does not answer";
    poll(nullptr, 0, 10);
  }
  run_inside("wg set " + interface_ + " listen-port " + std::to_string(port_) + " private-key " +
             (scratch_ / "key"));
  run_inside(std::string("ip address add ") + kPeerInner + "/24 dev " + interface_);
  run_inside("ip link set " + interface_ + " mtu 1420 up");
}

void ForeignPeer::stop() {
  if (!program_.pidfd) return;
  EXPECT_TRUE(os::send_signal(program_.pidfd, SIGTERM));
  const auto ended = os::wait_readable(program_.pidfd, kStartLimit);
  if (!ended || !*ended) {
    EXPECT_TRUE(os::send_signal(program_.pidfd, SIGKILL));
  }
  EXPECT_TRUE(os::wait_for(program_));
  program_ = {};
}

void ForeignPeer::restart() {
  stop();
  start();
}

void ForeignPeer::know(const base::PublicKey& us, std::optional<std::uint16_t> our_port) {
  run_inside("wg set " + interface_ + " peer " + us.base64() + " allowed-ips " + kOurInner + "/32" +
             (our_port ? " endpoint 127.0.0.1:" + std::to_string(*our_port) : ""));
}

void ForeignPeer::forget(const base::PublicKey& us) {
  run_inside("wg set " + interface_ + " peer " + us.base64() + " remove");
}

std::uint64_t ForeignPeer::received_bytes() const {
  // "KEY \t received \t sent"
  const std::string text = run_inside("wg show " + interface_ + " transfer");
  const std::size_t begin = text.find('\t') + 1;
  const auto number = base::parse_number(
      std::string_view(text).substr(begin, text.find('\t', begin) - begin), 0, ~std::uint64_t{0});
  EXPECT_TRUE(number) << text;
  return number.value_or(0);
}

os::Child ForeignPeer::start_ping(unsigned count, const std::string& interval_s) const {
  const os::Fd nowhere(open("/dev/null", O_WRONLY | O_CLOEXEC));
  auto child = os::spawn(
      {.argv = {"/usr/bin/nsenter", "--net=/run/netns/" + namespace_, "/usr/bin/ping", "-n", "-q",
                "-c", std::to_string(count), "-i", interval_s, "-W", "1", kOurInner},
       .descriptors = {{1, &nowhere}},
       .die_with_parent = true});
  EXPECT_TRUE(child) << child.error().message;
  return child ? std::move(*child) : os::Child{};
}

std::string ForeignPeer::run_inside(const std::string& command) const {
  const Finished done = run("nsenter --net=/run/netns/" + namespace_ + " " + command);
  EXPECT_EQ(done.code, 0) << command << ": " << done.text;
  return done.text;
}

}  // namespace warren::rekey
