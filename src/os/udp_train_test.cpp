// Trains: UDP_SEGMENT outward, UDP_GRO inward, and what happens where the way takes none.
#include <gtest/gtest.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "os/clock.hpp"
#include "os/netns.hpp"
#include "os/process.hpp"
#include "os/rtnl.hpp"
#include "os/udp.hpp"

namespace warren::os {
namespace {

using base::ErrorKind;
using base::Family;
using base::IpAddress;

constexpr std::size_t kRoom = 65536;

/// Bytes that tell where they belong.
std::vector<std::uint8_t> numbered(std::size_t size) {
  std::vector<std::uint8_t> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  return out;
}

struct Arrived {
  std::vector<std::uint8_t> bytes;
  std::uint16_t segment_size = 0;
};

/// What comes until `bytes` have come or two seconds are over.
std::vector<Arrived> receive(const Fd& socket, std::size_t bytes) {
  std::vector<Arrived> out;
  std::vector<std::vector<std::uint8_t>> rooms(8, std::vector<std::uint8_t>(kRoom));
  std::vector<UdpReceived> slots(rooms.size());
  for (std::size_t total = 0; total < bytes;) {
    const auto ready = wait_readable(socket, std::chrono::seconds(2));
    if (!ready || !*ready) break;
    for (std::size_t i = 0; i < slots.size(); ++i) slots[i].buffer = rooms[i];
    const auto got = receive_batch(socket, slots);
    if (!got) break;
    for (std::size_t i = 0; i < *got; ++i) {
      EXPECT_FALSE(slots[i].truncated);
      out.push_back(
          {{rooms[i].begin(), rooms[i].begin() + static_cast<std::ptrdiff_t>(slots[i].size)},
           slots[i].segment_size});
      total += slots[i].size;
    }
  }
  return out;
}

std::vector<std::uint8_t> joined(const std::vector<Arrived>& arrived) {
  std::vector<std::uint8_t> out;
  for (const Arrived& one : arrived) out.insert(out.end(), one.bytes.begin(), one.bytes.end());
  return out;
}

class UdpTrain : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    auto a = open_udp({.family = GetParam()});
    auto b = open_udp({.family = GetParam()});
    if (!a && a.error().os_errno == EAFNOSUPPORT) GTEST_SKIP() << "this host has no IPv6";
    ASSERT_TRUE(a && b);
    a_ = std::move(*a);
    b_ = std::move(*b);
    const char* loopback = GetParam() == Family::V4 ? "127.0.0.1" : "::1";
    to_b_ = {.address = *IpAddress::parse(loopback), .port = local_port(b_).value()};
    const UdpToSend probe{.bytes = base::as_bytes("probe"), .remote = to_b_};
    if (send_batch(a_, {&probe, 1}).value().sent == 0) GTEST_SKIP() << "no address " << loopback;
    ASSERT_EQ(receive(b_, 5).size(), 1U);
    const auto has = enable_udp_offloads(a_);
    ASSERT_TRUE(has) << has.error().message;
    if (!has->segment || !has->gro) GTEST_SKIP() << "this kernel has no UDP_SEGMENT or UDP_GRO";
  }

  Fd a_;
  Fd b_;
  base::Endpoint to_b_;
};
INSTANTIATE_TEST_SUITE_P(Families, UdpTrain, testing::Values(Family::V4, Family::V6),
                         [](const auto& instance) {
                           return instance.param == Family::V4 ? "V4" : "V6";
                         });

TEST_P(UdpTrain, ArrivesAsATrainWithItsSegmentSize) {
  ASSERT_TRUE(enable_udp_offloads(b_));
  const auto bytes = numbered(44 * 1452 + 100);
  const std::array<UdpToSend, 3> items{
      UdpToSend{.bytes = base::as_bytes("alone"), .remote = to_b_},
      UdpToSend{.bytes = bytes, .remote = to_b_, .traffic_class = 0x48, .segment_size = 1452},
      UdpToSend{.bytes = base::as_bytes("behind"), .remote = to_b_, .segment_size = 1452}};
  const SendOutcome outcome = send_batch(a_, items).value();
  EXPECT_EQ(outcome.sent, 3U);
  EXPECT_EQ(outcome.split, 0U);
  const auto arrived = receive(b_, bytes.size() + 11);
  ASSERT_EQ(arrived.size(), 3U);
  EXPECT_EQ(arrived[0].segment_size, 0);
  EXPECT_EQ(arrived[1].segment_size, 1452);
  EXPECT_EQ(arrived[1].bytes, bytes);
  EXPECT_EQ(arrived[2].segment_size, 0) << "shorter than a segment: one datagram";
}

TEST_P(UdpTrain, ArrivesInDatagramsWhereNobodyAskedForTrains) {
  const auto bytes = numbered(10 * 1000 + 7);
  const UdpToSend train{.bytes = bytes, .remote = to_b_, .segment_size = 1000};
  ASSERT_EQ(send_batch(a_, {&train, 1}).value().sent, 1U);
  const auto arrived = receive(b_, bytes.size());
  ASSERT_EQ(arrived.size(), 11U);
  EXPECT_EQ(arrived[0].bytes.size(), 1000U);
  EXPECT_EQ(arrived[0].segment_size, 0);
  EXPECT_EQ(arrived[10].bytes.size(), 7U);
  EXPECT_EQ(joined(arrived), bytes);
}

TEST_P(UdpTrain, GoesWithoutASourceAddressThatTheHostHasLostAndStaysATrain) {
  ASSERT_TRUE(enable_udp_offloads(b_));
  const IpAddress lost = *IpAddress::parse(GetParam() == Family::V4 ? "192.0.2.77" : "2001:db8::7");
  const auto bytes = numbered(4000);
  const UdpToSend train{.bytes = bytes,
                        .remote = to_b_,
                        .local = {.address = lost, .known = true},
                        .segment_size = 1000};
  const SendOutcome outcome = send_batch(a_, {&train, 1}).value();
  EXPECT_EQ(outcome.sent, 1U);
  EXPECT_EQ(outcome.split, 0U);
  const auto arrived = receive(b_, bytes.size());
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].segment_size, 1000);
}

// More datagrams than any kernel takes as one: EINVAL.
TEST_P(UdpTrain, TooLongATrainGoesDatagramByDatagram) {
  const auto bytes = numbered(300 * 10 + 3);
  const std::array<UdpToSend, 2> items{
      UdpToSend{.bytes = bytes, .remote = to_b_, .segment_size = 10},
      UdpToSend{.bytes = base::as_bytes("last"), .remote = to_b_}};
  const SendOutcome outcome = send_batch(a_, items).value();
  EXPECT_EQ(outcome.sent, 2U);
  EXPECT_EQ(outcome.split, 1U);
  EXPECT_EQ(outcome.partial, 0U);
  EXPECT_FALSE(outcome.trains_unsupported);
  const auto arrived = receive(b_, bytes.size() + 4);
  ASSERT_EQ(arrived.size(), 302U);
  EXPECT_EQ(arrived[300].bytes.size(), 3U);
  EXPECT_EQ(arrived[301].bytes.size(), 4U);
}

TEST_P(UdpTrain, NowhereToGoIsOneRefusal) {
  const auto bytes = numbered(3000);
  base::Endpoint nowhere = to_b_;
  nowhere.port = 0;
  const UdpToSend train{.bytes = bytes, .remote = nowhere, .segment_size = 1000};
  const SendOutcome outcome = send_batch(a_, {&train, 1}).value();
  EXPECT_EQ(outcome.refused, 1U);
  EXPECT_EQ(outcome.sent + outcome.split + outcome.partial, 0U);
}

TEST(Udp, ProbesOfNoUdpSocketAreErrors) {
  EXPECT_EQ(enable_udp_offloads(Fd()).error().os_errno, EBADF);
  EXPECT_EQ(share_port(Fd()).error().os_errno, EBADF);
  const UdpToSend item{.bytes = base::as_bytes("x"),
                       .remote = {.address = *IpAddress::parse("127.0.0.1"), .port = 9},
                       .segment_size = 0};
  EXPECT_EQ(send_batch(Fd(), {&item, 1}).error().os_errno, EBADF);
}

// Bound alone first, shared then: who has the port meanwhile is found out, and flows spread.
TEST(Udp, ASharedPortIsStillAConflictForStrangers) {
  const auto stranger = open_udp({.reuse_port = true});
  ASSERT_TRUE(stranger);
  EXPECT_EQ(open_udp({.port = local_port(*stranger).value()}).error().kind, ErrorKind::Conflict);

  const auto first = open_udp({});
  const std::uint16_t port = local_port(*first).value();
  EXPECT_FALSE(open_udp({.port = port, .reuse_port = true})) << "not shared yet";
  ASSERT_TRUE(share_port(*first));
  const auto second = open_udp({.port = port, .reuse_port = true});
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_FALSE(open_udp({.port = port})) << "who does not know of the sharing is kept out";

  const base::Endpoint to{.address = *IpAddress::parse("127.0.0.1"), .port = port};
  constexpr std::size_t kSenders = 64;
  std::vector<Fd> senders;
  for (std::size_t i = 0; i < kSenders; ++i) {
    senders.push_back(open_udp({}).value());
    const UdpToSend item{.bytes = base::as_bytes("x"), .remote = to};
    ASSERT_EQ(send_batch(senders.back(), {&item, 1}).value().sent, 1U);
  }
  std::array<std::size_t, 2> heard{};
  std::array<std::uint8_t, 16> room;
  UdpReceived slot{.buffer = room};
  while (receive_batch(*first, {&slot, 1}).value() == 1) ++heard[0];
  while (receive_batch(*second, {&slot, 1}).value() == 1) ++heard[1];
  EXPECT_EQ(heard[0] + heard[1], kSenders);
  EXPECT_GT(heard[0], 0U);
  EXPECT_GT(heard[1], 0U);
}

/// Two namespaces and a veth pair between them, 10.98.0.1 and 10.98.0.2.
class UdpTrainOverVeth : public testing::Test {
 protected:
  void SetUp() override {
    auto left = create_named_netns(left_name_);
    if (!left && left.error().kind == ErrorKind::NotPermitted)
      GTEST_SKIP() << "needs CAP_SYS_ADMIN: " << left.error().message;
    ASSERT_TRUE(left) << left.error().message;
    left_ = std::move(*left);
    right_ = create_named_netns(right_name_).value();
    auto a = Rtnl::open_in(left_).value();
    auto b = Rtnl::open_in(right_).value();
    ASSERT_TRUE(a.add_veth("v0", "v1", right_.get()));
    ASSERT_TRUE(a.add_address("v0", *base::Prefix::parse("10.98.0.1/24")));
    ASSERT_TRUE(b.add_address("v1", *base::Prefix::parse("10.98.0.2/24")));
    ASSERT_TRUE(a.set_up("v0", true));
    ASSERT_TRUE(b.set_up("v1", true));
    sender_ = open_in(left_);
    receiver_ = open_in(right_);
    ASSERT_TRUE(sender_ && receiver_);
    const auto has = enable_udp_offloads(sender_);
    if (!has->segment) GTEST_SKIP() << "this kernel has no UDP_SEGMENT";
  }
  void TearDown() override {
    if (left_) static_cast<void>(delete_named_netns(left_name_));
    if (right_) static_cast<void>(delete_named_netns(right_name_));
  }
  static Fd open_in(const Fd& netns) {
    Fd out;
    static_cast<void>(in_netns(netns, [&]() -> base::Status {
      WARREN_TRY_ASSIGN(out, open_udp({}));
      return {};
    }));
    return out;
  }
  /// False where the kernel does not allow it.
  bool switch_feature(std::uint32_t command, bool on) {
    bool done = false;
    static_cast<void>(in_netns(left_, [&]() -> base::Status {
      const auto socket = open_udp({});
      ethtool_value value{.cmd = command, .data = on ? 1U : 0U};
      ifreq request{};
      std::memcpy(request.ifr_name, "v0", 3);
      request.ifr_data = reinterpret_cast<char*>(&value);
      done = ioctl(socket->get(), SIOCETHTOOL, &request) == 0;
      return {};
    }));
    return done;
  }
  SendOutcome send(const std::vector<std::uint8_t>& bytes, std::uint16_t segment_size) {
    const UdpToSend train{.bytes = bytes,
                          .remote = {.address = *IpAddress::parse("10.98.0.2"),
                                     .port = local_port(receiver_).value()},
                          .segment_size = segment_size};
    return send_batch(sender_, {&train, 1}).value();
  }

  const std::string left_name_ = "wt" + std::to_string(getpid()) + "-train-l";
  const std::string right_name_ = "wt" + std::to_string(getpid()) + "-train-r";
  Fd left_;
  Fd right_;
  Fd sender_;
  Fd receiver_;
};

TEST_F(UdpTrainOverVeth, ASegmentAboveTheMtuOfTheWayIsFragmented) {
  ASSERT_TRUE(Rtnl::open_in(left_)->set_mtu("v0", 1280));
  const auto bytes = numbered(20 * 1452);
  const SendOutcome outcome = send(bytes, 1452);
  EXPECT_EQ(outcome.sent, 1U);
  EXPECT_EQ(outcome.split, 1U);
  EXPECT_FALSE(outcome.trains_unsupported);
  const auto arrived = receive(receiver_, bytes.size());
  ASSERT_EQ(arrived.size(), 20U);
  EXPECT_EQ(joined(arrived), bytes);
}

// Kernels before 6.11 refuse the train (EIO); later ones complete the checksums themselves.
TEST_F(UdpTrainOverVeth, ADeviceWithoutChecksumsGetsEveryDatagram) {
  if (!switch_feature(ETHTOOL_STXCSUM, false)) GTEST_SKIP() << "the checksums stay on";
  const auto bytes = numbered(20 * 1000);
  const SendOutcome outcome = send(bytes, 1000);
  EXPECT_EQ(outcome.sent, 1U);
  EXPECT_EQ(outcome.trains_unsupported, outcome.split == 1);
  EXPECT_EQ(joined(receive(receiver_, bytes.size())), bytes);
}

TEST_F(UdpTrainOverVeth, AFullSocketMarksHowFarASplitTrainCame) {
  sender_.reset();
  ASSERT_TRUE(in_netns(left_, [&]() -> base::Status {
    WARREN_TRY_ASSIGN(sender_, open_udp({.buffer_bytes = 8192}));
    WARREN_TRY_ASSIGN(const Child slow,
                      spawn({.argv = {"/sbin/tc", "qdisc", "add", "dev", "v0", "root", "tbf",
                                      "rate", "8mbit", "burst", "4000", "latency", "1s"}}));
    WARREN_TRY_ASSIGN(const int code, wait_for(slow));
    return code == 0 ? base::Status{} : base::os_error("add a queue", ENOTSUP);
  }));
  ASSERT_TRUE(Rtnl::open_in(left_)->set_mtu("v0", 1280));
  const auto bytes = numbered(44 * 1400);
  base::Bytes rest = bytes;
  std::size_t stops = 0;
  const base::Instant deadline = now() + std::chrono::seconds(5);
  while (!rest.empty() && now() < deadline) {
    const UdpToSend train{.bytes = rest,
                          .remote = {.address = *IpAddress::parse("10.98.0.2"),
                                     .port = local_port(receiver_).value()},
                          .segment_size = 1400};
    const SendOutcome outcome = send_batch(sender_, {&train, 1}).value();
    if (outcome.sent == 1) break;
    EXPECT_EQ(outcome.refused, 0U);
    EXPECT_EQ(outcome.partial % 1400, 0U);
    if (outcome.partial > 0) ++stops;
    rest = rest.subspan(outcome.partial);
  }
  EXPECT_GT(stops, 0U);
  EXPECT_EQ(joined(receive(receiver_, bytes.size())), bytes);
}

TEST_F(UdpTrainOverVeth, AWayThatIsGoneRefusesAndComesBack) {
  auto rtnl = Rtnl::open_in(left_).value();
  ASSERT_TRUE(rtnl.set_up("v0", false));
  const auto bytes = numbered(3000);
  EXPECT_EQ(send(bytes, 1000).refused, 1U);
  ASSERT_TRUE(rtnl.set_up("v0", true));
  EXPECT_EQ(send(bytes, 1000).sent, 1U);
  EXPECT_EQ(joined(receive(receiver_, bytes.size())), bytes);
}

}  // namespace
}  // namespace warren::os
