#include "os/tun.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "os/clock.hpp"
#include "os/loop.hpp"
#include "os/netns_test_support.hpp"
#include "os/process.hpp"
#include "os/udp.hpp"

namespace warren::os {
namespace {

using base::ErrorKind;
using testing::HasSubstr;

constexpr uid_t kNobody = 65534;

/// A namespace of its own for every test; `inside` runs there.
class TunTest : public NetnsTest {
 protected:
  void SetUp() override { make_netns("tun", netns_); }
  void inside(const std::function<void()>& fn) { NetnsTest::inside(netns_, fn); }
  Fd netns_;
};

void ip(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/sbin/ip");
  const auto child = spawn({.argv = arguments});
  ASSERT_TRUE(child) << child.error().message;
  ASSERT_EQ(wait_for(*child).value(), 0) << arguments.back();
}

/// A queue of `name` opened as nobody: 0 or the errno. The descriptor comes from root, so that the
/// mode of the device node plays no part.
int attach_as_nobody(const std::string& name) {
  const Fd device(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE;
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, nullptr) < 0 || setgid(kNobody) < 0 || setuid(kNobody) < 0) _exit(255);
    _exit(ioctl(device.get(), TUNSETIFF, &request) < 0 ? errno : 0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST_F(TunTest, NoOtherUserAttachesAQueue) {
  inside([] {
    const auto tun = open_tun({.name = "wt0", .multi_queue = true});
    ASSERT_TRUE(tun) << tun.error().message;
    EXPECT_EQ(attach_as_nobody("wt0"), EPERM);
    EXPECT_TRUE(open_tun({.name = "wt0", .multi_queue = true}));  // root does
  });
}

// The reason for restrict_to_root: shows that the test above can fail.
TEST_F(TunTest, WithoutTheRestrictionAnybodyDoes) {
  inside([] {
    const auto tun = open_tun({.name = "wt0", .multi_queue = true, .restrict_to_root = false});
    ASSERT_TRUE(tun) << tun.error().message;
    EXPECT_EQ(attach_as_nobody("wt0"), 0);
  });
}

TEST_F(TunTest, TheKernelCompletesTheName) {
  inside([] {
    const auto tun = open_tun({.name = "wt%d"});
    ASSERT_TRUE(tun) << tun.error().message;
    EXPECT_EQ(tun->name, "wt0");
    EXPECT_EQ(fcntl(tun->descriptor.get(), F_GETFD), FD_CLOEXEC);
    EXPECT_NE(fcntl(tun->descriptor.get(), F_GETFL) & O_NONBLOCK, 0);
  });
}

TEST_F(TunTest, ASecondHolderIsAConflict) {
  inside([] {
    const auto tun = open_tun({.name = "wt0"});
    ASSERT_TRUE(tun);
    const auto second = open_tun({.name = "wt0"});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::Conflict);
    EXPECT_THAT(second.error().message, HasSubstr("wt0"));
    EXPECT_FALSE(second.error().hint.empty());
    EXPECT_EQ(open_tun({.name = std::string(16, 'x')}).error().kind, ErrorKind::Invalid);
  });
}

TEST_F(TunTest, PersistsOnlyWhenAsked) {
  inside([] {
    {
      ASSERT_TRUE(open_tun({.name = "keep", .persistent = true}));
    }
    {
      ASSERT_TRUE(open_tun({.name = "gone", .tap = true}));
    }
    const auto links =
        spawn({.argv = {"/sbin/ip", "link", "show", "dev", "gone"}, .descriptors = {}});
    ASSERT_TRUE(links) << links.error().message;
    EXPECT_NE(wait_for(*links).value(), 0);
    ip({"link", "show", "dev", "keep"});
    ip({"link", "delete", "keep"});
  });
}

/// A UDP datagram from 10.99.0.1 to 10.99.0.2, as the kernel puts it on the tun.
bool is_our_packet(base::Bytes packet) {
  return packet.size() == 33 && packet[0] == 0x45 && packet[9] == 17 && packet[19] == 2;
}

TEST_F(TunTest, CarriesPacketsBothWays) {
  inside([] {
    const auto tun = open_tun({.name = "wt0"});
    ASSERT_TRUE(tun);
    std::array<std::uint8_t, 2048> buffer{};
    EXPECT_EQ(read_packet(tun->descriptor, buffer).value(), 0U);
    const std::array<std::uint8_t, 4> garbage{0xff, 0, 0, 0};
    EXPECT_FALSE(write_packet(tun->descriptor, garbage).value());  // the link is down
    ip({"addr", "add", "10.99.0.1/24", "dev", "wt0"});
    ip({"link", "set", "wt0", "up"});
    EXPECT_FALSE(write_packet(tun->descriptor, garbage).value());  // no IP packet

    const auto socket = open_udp({.port = 7777});
    ASSERT_TRUE(socket);
    const UdpToSend datagram{
        .bytes = base::as_bytes("hello"),
        .remote = {.address = *base::IpAddress::parse("10.99.0.2"), .port = 7777}};
    ASSERT_EQ(send_batch(*socket, {&datagram, 1}).value().sent, 1U);
    base::MutableBytes packet;
    const base::Instant deadline = now() + std::chrono::seconds(2);
    while (!is_our_packet(packet) && now() < deadline) {  // IPv6 announces itself in between
      ASSERT_TRUE(wait_readable(tun->descriptor, deadline - now()).value());
      packet = base::MutableBytes(buffer).first(read_packet(tun->descriptor, buffer).value());
    }
    ASSERT_TRUE(is_our_packet(packet));

    // Back with the addresses exchanged: neither checksum changes.
    for (std::size_t i = 12; i < 16; ++i) std::swap(packet[i], packet[i + 4]);
    EXPECT_TRUE(write_packet(tun->descriptor, packet).value());
    ASSERT_TRUE(wait_readable(*socket, std::chrono::seconds(2)).value());
    UdpReceived slot{.buffer = buffer};
    ASSERT_EQ(receive_batch(*socket, {&slot, 1}).value(), 1U);
    EXPECT_EQ(slot.remote.to_string(), "10.99.0.2:7777");
    EXPECT_EQ(slot.local.address.to_string(), "10.99.0.1");
  });
}

// A slow queue before the tun holds what the socket may have under way.
TEST_F(TunTest, AFullSocketStopsTheBatchShortAndRefusesNothing) {
  inside([] {
    const auto tun = open_tun({.name = "wt0"});
    ASSERT_TRUE(tun);
    ip({"addr", "add", "10.99.0.1/24", "dev", "wt0"});
    ip({"link", "set", "wt0", "up"});
    const auto slow = spawn({.argv = {"/sbin/tc", "qdisc", "add", "dev", "wt0", "root", "tbf",
                                      "rate", "800kbit", "burst", "2000", "latency", "1s"}});
    if (!slow || wait_for(*slow).value() != 0) GTEST_SKIP() << "no token bucket queue here";
    const auto socket = open_udp({.buffer_bytes = 8192});
    ASSERT_TRUE(socket);
    const std::vector<std::uint8_t> payload(1000);
    const std::vector<UdpToSend> batch(
        200, {.bytes = payload,
              .remote = {.address = *base::IpAddress::parse("10.99.0.2"), .port = 7777}});
    const SendOutcome first = send_batch(*socket, batch).value();
    const std::size_t sent = first.sent;
    EXPECT_GT(sent, 0U);
    EXPECT_LT(sent, batch.size());

    const auto loop = Loop::create();
    bool writable = false;
    ASSERT_TRUE(
        (*loop)->watch(socket->get(), [&](Ready ready) { writable = ready.writable; }, true));
    ASSERT_TRUE((*loop)->run_once(now() + std::chrono::seconds(2)));
    EXPECT_TRUE(writable);
    const SendOutcome second = send_batch(*socket, std::span(batch).subspan(sent)).value();
    EXPECT_GT(second.sent, 0U);
    EXPECT_EQ(first.refused + second.refused, 0U);
  });
}

TEST_F(TunTest, ADeletedDeviceIsAnError) {
  inside([] {
    const auto tun = open_tun({.name = "wt0"});
    ASSERT_TRUE(tun);
    ip({"link", "delete", "wt0"});
    std::array<std::uint8_t, 64> buffer{};
    EXPECT_FALSE(read_packet(tun->descriptor, buffer));
    EXPECT_FALSE(write_packet(tun->descriptor, buffer));
  });
}

TEST_F(TunTest, WithoutPrivilegeTheErrorSaysWhatToDo) {
  inside([] {
    int report[2];
    ASSERT_EQ(pipe(report), 0);
    const Fd read_end(report[0]);
    Fd write_end(report[1]);
    const pid_t child = fork();
    if (child == 0) {
      if (setgroups(0, nullptr) < 0 || setgid(kNobody) < 0 || setuid(kNobody) < 0) _exit(255);
      const auto tun = open_tun({.name = "wt9"});
      const std::string text =
          tun ? "opened" : std::string(base::to_string(tun.error().kind)) + "|" + tun.error().hint;
      _exit(write(write_end.get(), text.data(), text.size()) > 0 ? 0 : 1);
    }
    write_end.reset();
    char text[512] = {};
    EXPECT_GT(read(read_end.get(), text, sizeof text - 1), 0);
    waitpid(child, nullptr, 0);
    EXPECT_THAT(text, HasSubstr("not-permitted|"));
    EXPECT_THAT(text, testing::AnyOf(HasSubstr("CAP_NET_ADMIN"), HasSubstr("chmod 0666")));
  });
}

}  // namespace
}  // namespace warren::os
