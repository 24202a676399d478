// Super-packets through real tuns: two namespaces, a tun in each, and this test as the wire.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/netns_test_support.hpp"
#include "os/process.hpp"
#include "os/rtnl.hpp"
#include "os/tun.hpp"
#include "os/udp.hpp"

namespace warren::os {
namespace {

using base::ErrorKind;
using base::Family;

constexpr std::size_t kHeader = 10;
constexpr std::size_t kRoom = kHeader + 65536;
constexpr base::Duration kPatience = std::chrono::seconds(3);
// gso_type of linux/virtio_net.h.
constexpr std::uint8_t kTcp4 = 1;
constexpr std::uint8_t kTcp6 = 4;
constexpr std::uint8_t kUdp = 5;

std::vector<std::uint8_t> numbered(std::size_t size) {
  std::vector<std::uint8_t> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  return out;
}

struct Side {
  Fd netns;
  Tun tun;
  std::size_t largest = 0;                       ///< read from the tun
  std::array<std::size_t, 256> reads_of_type{};  ///< by gso_type
};

class TunOffloadTest : public NetnsTest, public testing::WithParamInterface<Family> {
 protected:
  void SetUp() override {
    for (std::size_t i = 0; i < 2; ++i) {
      Side& side = sides_[i];
      make_netns("off" + std::to_string(i), side.netns);
      if (IsSkipped() || HasFatalFailure()) return;
      const auto set = in_netns(side.netns, [&] { return set_up(side, i); });
      ASSERT_TRUE(set) << set.error().message;
    }
    if (!sides_[0].tun.offloads.tcp4) GTEST_SKIP() << "this kernel has no offloads for a tun";
  }
  base::Status set_up(Side& side, std::size_t i) {
    WARREN_TRY_ASSIGN(side.tun, open_tun({.name = "wt0", .offloads = true}));
    WARREN_TRY_ASSIGN(Rtnl rtnl, Rtnl::open());
    const std::string end = std::to_string(i + 1);
    WARREN_TRY(rtnl.set_mtu("wt0", 1420));
    WARREN_TRY(rtnl.add_address("wt0", *base::Prefix::parse("10.99.0." + end + "/24")));
    WARREN_TRY(rtnl.set_up("wt0", true));
    return rtnl.add_address("wt0", *base::Prefix::parse("fd99::" + end + "/64"));
  }
  static bool is_v4() { return GetParam() == Family::V4; }
  static std::string address(std::size_t side) {
    return (is_v4() ? "10.99.0." : "fd99::") + std::to_string(side + 1);
  }

  /// Carries what the tuns hold until `done`; false after kPatience.
  bool carry_until(const std::function<bool()>& done) {
    const base::Instant deadline = now() + kPatience;
    while (!done()) {
      if (now() > deadline) return false;
      std::array<pollfd, 2> waiting = {
          pollfd{.fd = sides_[0].tun.descriptor.get(), .events = POLLIN, .revents = 0},
          pollfd{.fd = sides_[1].tun.descriptor.get(), .events = POLLIN, .revents = 0}};
      if (poll(waiting.data(), waiting.size(), 10) < 0) return false;
      carry(sides_[0], sides_[1]);
      carry(sides_[1], sides_[0]);
    }
    return true;
  }
  /// Each packet goes over in three pieces, as an engine writes what it put together.
  void carry(Side& from, Side& to) {
    while (true) {
      const std::size_t size = read_packet(from.tun.descriptor, room_).value();
      if (size == 0) return;
      ASSERT_GT(size, kHeader);
      from.largest = std::max(from.largest, size);
      ++from.reads_of_type[room_[1]];
      const base::Bytes whole = base::Bytes(room_).first(size);
      const std::size_t middle = kHeader + (size - kHeader) / 2;
      const std::array<base::Bytes, 3> pieces = {
          whole.first(kHeader), whole.subspan(kHeader, middle - kHeader), whole.subspan(middle)};
      EXPECT_TRUE(write_pieces(to.tun.descriptor, pieces).value());
    }
  }
  Fd tcp_socket(std::size_t side) {
    Fd out;
    static_cast<void>(in_netns(sides_[side].netns, [&]() -> base::Status {
      out = Fd(socket(is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      return {};
    }));
    return out;
  }
  Fd udp_socket(std::size_t side) {
    Fd out;
    static_cast<void>(in_netns(sides_[side].netns, [&]() -> base::Status {
      WARREN_TRY_ASSIGN(out, open_udp({.family = GetParam()}));
      return {};
    }));
    return out;
  }
  struct Address {
    sockaddr_storage raw{};
    socklen_t size = 0;
  };
  static Address tcp_address(std::size_t side, std::uint16_t port) {
    Address out;
    const auto ip = base::IpAddress::parse(address(side));
    const base::Bytes bytes = ip->bytes();
    if (is_v4()) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      std::memcpy(&v4.sin_addr, bytes.data(), bytes.size());
      std::memcpy(&out.raw, &v4, out.size = sizeof v4);
    } else {
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      std::memcpy(&v6.sin6_addr, bytes.data(), bytes.size());
      std::memcpy(&out.raw, &v6, out.size = sizeof v6);
    }
    return out;
  }
  /// Sends `bytes` over one TCP connection from side 0 to side 1; what arrived.
  std::vector<std::uint8_t> over_tcp(const std::vector<std::uint8_t>& bytes) {
    const Fd listener = tcp_socket(1);
    const Fd client = tcp_socket(0);
    const Address at = tcp_address(1, 7000);
    const auto* raw = reinterpret_cast<const sockaddr*>(&at.raw);
    EXPECT_EQ(bind(listener.get(), raw, at.size), 0);
    EXPECT_EQ(listen(listener.get(), 1), 0);
    std::ignore = connect(client.get(), raw, at.size);
    Fd server;
    EXPECT_TRUE(carry_until([&] {
      server = Fd(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      return static_cast<bool>(server);
    }));
    std::vector<std::uint8_t> out;
    std::size_t sent = 0;
    EXPECT_TRUE(carry_until([&] {
      const ssize_t more =
          send(client.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (more > 0) sent += static_cast<std::size_t>(more);
      std::array<std::uint8_t, 65536> chunk;
      for (ssize_t got = 0; (got = recv(server.get(), chunk.data(), chunk.size(), 0)) > 0;)
        out.insert(out.end(), chunk.begin(), chunk.begin() + got);
      return out.size() == bytes.size();
    }));
    return out;
  }

  std::array<Side, 2> sides_;
  std::vector<std::uint8_t> room_ = std::vector<std::uint8_t>(kRoom);
};
INSTANTIATE_TEST_SUITE_P(Families, TunOffloadTest, testing::Values(Family::V4, Family::V6),
                         [](const auto& instance) {
                           return instance.param == Family::V4 ? "V4" : "V6";
                         });

TEST_P(TunOffloadTest, TcpComesAndGoesInSuperPackets) {
  const auto bytes = numbered(1 << 20);
  EXPECT_EQ(over_tcp(bytes), bytes);
  EXPECT_GT(sides_[0].largest, 20'000U);
  EXPECT_GT(sides_[0].reads_of_type[is_v4() ? kTcp4 : kTcp6], 0U);
}

TEST_P(TunOffloadTest, SuperPacketsKeepToTheLimitOfTheLink) {
  constexpr std::size_t kSegments = 7;
  ASSERT_TRUE(Rtnl::open_in(sides_[0].netns)
                  ->set_queueing("wt0", {.queue_length = 1234, .gso_max_segments = kSegments}));
  const auto bytes = numbered(1 << 19);
  EXPECT_EQ(over_tcp(bytes), bytes);
  EXPECT_GT(sides_[0].largest, 2U * 1420);
  EXPECT_LE(sides_[0].largest, kHeader + kSegments * 1420);

  ifreq request{};
  std::memcpy(request.ifr_name, "wt0", 4);
  const Fd inside = tcp_socket(0);
  ASSERT_EQ(ioctl(inside.get(), SIOCGIFTXQLEN, &request), 0);
  EXPECT_EQ(request.ifr_qlen, 1234);
}

TEST_P(TunOffloadTest, ATrainIsOneReadAndOneWrite) {
  const TunOffloads& has = sides_[0].tun.offloads;
  if (!(is_v4() ? has.udp4 : has.udp6)) GTEST_SKIP() << "this kernel has no USO for a tun";
  const Fd from = udp_socket(0);
  const Fd to = udp_socket(1);
  ASSERT_TRUE(enable_udp_offloads(to)->gro);
  const auto bytes = numbered(40 * 1200 + 5);
  const UdpToSend train{
      .bytes = bytes,
      .remote = {.address = *base::IpAddress::parse(address(1)), .port = local_port(to).value()},
      .segment_size = 1200};
  std::vector<std::uint8_t> buffer(65536);
  UdpReceived slot{.buffer = buffer};
  // The first may meet an IPv6 address that is still tentative.
  std::size_t sent = 0;
  base::Instant next = now();
  ASSERT_TRUE(carry_until([&] {
    if (now() >= next) {
      sent += send_batch(from, {&train, 1})->sent;
      next = now() + kPatience / 10;
    }
    return receive_batch(to, {&slot, 1}).value() == 1;
  }));
  EXPECT_GT(sides_[0].reads_of_type[kUdp], 0U);
  EXPECT_LE(sides_[0].reads_of_type[kUdp], sent);
  EXPECT_EQ(slot.segment_size, 1200);
  buffer.resize(slot.size);
  EXPECT_EQ(buffer, bytes);
}

/// A namespace; `inside` runs there.
class TunQueueTest : public testing::Test {
 protected:
  void SetUp() override {
    if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "/dev/net/tun is not usable";
    auto made = create_named_netns(name_);
    if (!made && made.error().kind == ErrorKind::NotPermitted)
      GTEST_SKIP() << "needs CAP_SYS_ADMIN: " << made.error().message;
    ASSERT_TRUE(made) << made.error().message;
    netns_ = std::move(*made);
  }
  void TearDown() override {
    if (netns_) static_cast<void>(delete_named_netns(name_));
  }
  void inside(const std::function<void()>& fn) {
    const auto status = in_netns(netns_, [&]() -> base::Status {
      fn();
      return {};
    });
    ASSERT_TRUE(status) << status.error().message;
  }
  const std::string name_ = "wt" + std::to_string(getpid()) + "-queue";
  Fd netns_;
};

TEST_F(TunQueueTest, OffloadsAreAByte) {
  for (std::uint8_t bits = 0; bits < 64; ++bits)
    EXPECT_EQ(TunOffloads::from_byte(bits).to_byte(), bits);
  EXPECT_EQ(TunOffloads{.vnet_header = true}.to_byte(), 1);
  EXPECT_EQ((TunOffloads{.vnet_header = true, .udp6 = true}.to_byte()), 0x21);
}

TEST_F(TunQueueTest, ADeviceWithoutTheHeaderHasNoOffloads) {
  inside([] {
    const auto tun = open_tun({.name = "wt0"});
    ASSERT_TRUE(tun);
    EXPECT_EQ(tun->offloads, TunOffloads{});
    EXPECT_EQ(set_tun_offloads(tun->descriptor).value(), TunOffloads{});
    EXPECT_FALSE(set_tun_offloads(Fd()));
    EXPECT_FALSE(set_tun_offloads(memory_file("no-tun", 16).value()));
    const std::array<base::Bytes, 1> piece = {base::as_bytes("x")};
    EXPECT_FALSE(write_pieces(Fd(), piece));
    EXPECT_FALSE(write_pieces(tun->descriptor, piece).value()) << "the link is down";
  });
}

// A device that a release without offloads made, and what later queues may ask for.
TEST_F(TunQueueTest, TheFirstQueueDecidesWhatTheDeviceHas) {
  inside([] {
    const TunOptions plain{.name = "wt0", .multi_queue = true, .persistent = true};
    TunOptions full = plain;
    full.offloads = true;
    {
      ASSERT_TRUE(open_tun(plain));
    }
    {
      const auto first = open_tun(full);
      ASSERT_TRUE(first) << first.error().message;
      EXPECT_TRUE(first->offloads.vnet_header);
      const auto second = open_tun(plain);
      ASSERT_TRUE(second);
      EXPECT_TRUE(second->offloads.vnet_header) << "the first queue had asked for it";
    }
    {
      const auto first = open_tun(plain);
      ASSERT_TRUE(first);
      EXPECT_FALSE(first->offloads.vnet_header);
      const auto second = open_tun(full);
      ASSERT_TRUE(second);
      EXPECT_EQ(second->offloads, TunOffloads{});
    }
    ASSERT_TRUE(Rtnl::open()->delete_link("wt0"));
  });
}

TEST_F(TunQueueTest, AFurtherQueueIsOfTheSameDevice) {
  inside([] {
    EXPECT_EQ(open_tun_queue("wt0").error().kind, ErrorKind::NotFound);
    EXPECT_FALSE(Rtnl::open()->link("wt0")) << "none is made";
    {
      const auto single = open_tun({.name = "wt0", .offloads = true});
      ASSERT_TRUE(single);
      EXPECT_FALSE(open_tun_queue("wt0"));
    }
    const auto first = open_tun({.name = "wt0", .multi_queue = true, .offloads = true});
    ASSERT_TRUE(first);
    const auto second = open_tun_queue("wt0");
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ(second->offloads, first->offloads);
    EXPECT_EQ(second->name, "wt0");
  });
}

/// A queue of `name` opened as nobody: 0 or the errno.
int attach_as_nobody(const std::string& name) {
  constexpr uid_t kNobody = 65534;
  const Fd device(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_VNET_HDR;
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(kNobody) < 0 || setuid(kNobody) < 0) _exit(255);
    _exit(ioctl(device.get(), TUNSETIFF, &request) < 0 ? errno : 0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST_F(TunQueueTest, APrivateDeviceArrivesRestrictedAndWhole) {
  inside([] {
    const auto tun = open_private_tun({.name = "wt0", .offloads = true});
    ASSERT_TRUE(tun) << tun.error().message;
    EXPECT_EQ(tun->name, "wt0");
    auto rtnl = Rtnl::open().value();
    ASSERT_TRUE(rtnl.link("wt0")) << "it is here";
    EXPECT_EQ(attach_as_nobody("wt0"), EPERM);
    const auto second = open_tun_queue("wt0");
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ(second->offloads, tun->offloads);

    ASSERT_TRUE(rtnl.set_noqueue("wt0"));

    // Packets flow: one from a socket comes out of one of the queues.
    ASSERT_TRUE(rtnl.add_address("wt0", *base::Prefix::parse("10.99.0.1/24")));
    ASSERT_TRUE(rtnl.set_up("wt0", true));
    const auto socket = open_udp({});
    const UdpToSend item{.bytes = base::as_bytes("hello"),
                         .remote = {.address = *base::IpAddress::parse("10.99.0.2"), .port = 9}};
    ASSERT_EQ(send_batch(*socket, {&item, 1})->sent, 1U);
    std::array<std::uint8_t, 2048> buffer;
    const std::size_t expected = (tun->offloads.vnet_header ? kHeader : 0) + 20 + 8 + 5;
    bool found = false;
    for (const base::Instant deadline = now() + kPatience; !found && now() < deadline;)
      for (const Fd* queue : {&tun->descriptor, &second->descriptor})
        for (std::size_t size = 1; size > 0 && !found;) {
          size = read_packet(*queue, buffer).value();
          found = size == expected;
        }
    EXPECT_TRUE(found);
  });
}

TEST_F(TunQueueTest, WithoutADisciplineNoneIsMadeForAnyQueue) {
  inside([] {
    const auto tun = open_tun({.name = "wt0", .multi_queue = true, .offloads = true});
    auto rtnl = Rtnl::open().value();
    ASSERT_TRUE(rtnl.set_noqueue("wt0"));
    ASSERT_TRUE(rtnl.set_up("wt0", true));
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const Fd read_end(ends[0]);
    Fd write_end(ends[1]);
    const auto child = spawn(
        {.argv = {"/sbin/tc", "qdisc", "show", "dev", "wt0"}, .descriptors = {{1, &write_end}}});
    ASSERT_TRUE(child);
    write_end.reset();
    std::array<char, 4096> text{};
    const ssize_t size = read(read_end.get(), text.data(), text.size() - 1);
    ASSERT_EQ(wait_for(*child).value(), 0);
    ASSERT_GT(size, 0);
    const std::string shown(text.data(), static_cast<std::size_t>(size));
    EXPECT_EQ(shown.rfind("qdisc noqueue", 0), 0U) << shown;
    EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 1) << shown;
    EXPECT_FALSE(rtnl.set_noqueue("nope"));
  });
}

TEST_F(TunQueueTest, APrivateDeviceOfATakenNameIsAConflict) {
  inside([] {
    const auto there = open_tun({.name = "wt0"});
    ASSERT_TRUE(there);
    const auto tun = open_private_tun({.name = "wt0"});
    ASSERT_FALSE(tun);
    EXPECT_EQ(tun.error().kind, ErrorKind::Conflict) << tun.error().message;
  });
}

}  // namespace
}  // namespace warren::os
