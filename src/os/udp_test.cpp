#include "os/udp.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "os/process.hpp"

namespace warren::os {
namespace {

using base::ErrorKind;
using base::Family;
using base::IpAddress;
using testing::HasSubstr;

struct Arrived {
  std::string text;
  UdpReceived slot;  ///< its buffer is gone
};

/// Receives until `count` have come or two seconds are over.
std::vector<Arrived> receive(const Fd& socket, std::size_t count, std::size_t room = 64) {
  std::vector<Arrived> out;
  std::vector<std::vector<std::uint8_t>> buffers(8, std::vector<std::uint8_t>(room));
  std::vector<UdpReceived> slots(buffers.size());
  while (out.size() < count) {
    const auto ready = wait_readable(socket, std::chrono::seconds(2));
    if (!ready || !*ready) break;
    for (std::size_t i = 0; i < slots.size(); ++i) slots[i].buffer = buffers[i];
    const auto got = receive_batch(socket, slots);
    if (!got) break;
    for (std::size_t i = 0; i < *got; ++i)
      out.push_back({std::string(buffers[i].begin(),
                                 buffers[i].begin() + static_cast<std::ptrdiff_t>(slots[i].size)),
                     slots[i]});
  }
  return out;
}

/// Two sockets of one family and the loopback addresses of that family.
class UdpTest : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    auto a = open_udp({.family = GetParam()});
    auto b = open_udp({.family = GetParam()});
    if (!a && a.error().os_errno == EAFNOSUPPORT) GTEST_SKIP() << "this host has no IPv6";
    ASSERT_TRUE(a) << a.error().message;
    ASSERT_TRUE(b) << b.error().message;
    a_ = std::move(*a);
    b_ = std::move(*b);
    to_a_ = {.address = loopback(), .port = local_port(a_).value()};
    to_b_ = {.address = loopback(), .port = local_port(b_).value()};
    const UdpToSend probe{.bytes = base::as_bytes("probe"), .remote = to_b_};
    if (send_batch(a_, {&probe, 1}).value().sent == 0)
      GTEST_SKIP() << "this host has no loopback address " << loopback().to_string();
    ASSERT_EQ(receive(b_, 1).size(), 1U);
  }
  static IpAddress loopback() {
    return *IpAddress::parse(GetParam() == Family::V4 ? "127.0.0.1" : "::1");
  }

  Fd a_;
  Fd b_;
  base::Endpoint to_a_;
  base::Endpoint to_b_;
};
INSTANTIATE_TEST_SUITE_P(Families, UdpTest, testing::Values(Family::V4, Family::V6),
                         [](const auto& instance) {
                           return instance.param == Family::V4 ? "V4" : "V6";
                         });

TEST_P(UdpTest, KeepsBytesAddressesAndTrafficClass) {
  const std::array<UdpToSend, 2> batch{
      UdpToSend{.bytes = base::as_bytes("one"), .remote = to_b_, .traffic_class = 0xb8},
      UdpToSend{.bytes = base::as_bytes("second"), .remote = to_b_}};
  ASSERT_EQ(send_batch(a_, batch).value().sent, 2U);
  const auto arrived = receive(b_, 2);
  ASSERT_EQ(arrived.size(), 2U);
  EXPECT_EQ(arrived[0].text, "one");
  EXPECT_EQ(arrived[1].text, "second");
  EXPECT_EQ(arrived[0].slot.traffic_class, 0xb8);
  EXPECT_EQ(arrived[1].slot.traffic_class, 0);
  for (const Arrived& one : arrived) {
    EXPECT_EQ(one.slot.remote, to_a_);
    EXPECT_TRUE(one.slot.local.known);
    EXPECT_EQ(one.slot.local.address, loopback());
    EXPECT_NE(one.slot.local.interface_index, 0U);
    EXPECT_FALSE(one.slot.truncated);
  }
}

TEST_P(UdpTest, AnswersFromTheAddressThatWasAsked) {
  const UdpToSend ask{.bytes = base::as_bytes("ask"), .remote = to_b_};
  ASSERT_EQ(send_batch(a_, {&ask, 1}).value().sent, 1U);
  const auto asked = receive(b_, 1);
  ASSERT_EQ(asked.size(), 1U);
  const UdpToSend answer{.bytes = base::as_bytes("answer"),
                         .remote = asked[0].slot.remote,
                         .local = asked[0].slot.local};
  ASSERT_EQ(send_batch(b_, {&answer, 1}).value().sent, 1U);
  const auto answered = receive(a_, 1);
  ASSERT_EQ(answered.size(), 1U);
  EXPECT_EQ(answered[0].slot.remote, to_b_);
}

TEST_P(UdpTest, GoesWithoutASourceAddressThatTheHostHasLost) {
  const IpAddress lost = *IpAddress::parse(GetParam() == Family::V4 ? "192.0.2.77" : "2001:db8::7");
  const UdpToSend datagram{.bytes = base::as_bytes("still here"),
                           .remote = to_b_,
                           .local = {.address = lost, .known = true},
                           .traffic_class = 0x28};
  ASSERT_EQ(send_batch(a_, {&datagram, 1}).value().sent, 1U);
  const auto arrived = receive(b_, 1);
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].slot.remote.address, loopback());
  EXPECT_EQ(arrived[0].slot.traffic_class, 0x28);
}

TEST_P(UdpTest, SkipsAndCountsWhatTheKernelRefuses) {
  const std::vector<std::uint8_t> huge(70'000);
  base::Endpoint nowhere = to_b_;
  nowhere.port = 0;
  const std::array<UdpToSend, 4> batch{
      UdpToSend{.bytes = base::as_bytes("first"), .remote = to_b_},
      UdpToSend{.bytes = huge, .remote = to_b_},
      UdpToSend{.bytes = base::as_bytes("nowhere"), .remote = nowhere},
      UdpToSend{.bytes = base::as_bytes("last"), .remote = to_b_}};
  const SendOutcome outcome = send_batch(a_, batch).value();
  EXPECT_EQ(outcome.sent, 2U);
  EXPECT_EQ(outcome.refused, 2U);
  EXPECT_EQ(outcome.done(), batch.size());
  const auto arrived = receive(b_, 2);
  ASSERT_EQ(arrived.size(), 2U);
  EXPECT_EQ(arrived[1].text, "last");
}

TEST_P(UdpTest, ADatagramOfTheOtherFamilyIsRefused) {
  const base::Endpoint other{
      .address = *IpAddress::parse(GetParam() == Family::V4 ? "::1" : "127.0.0.1"), .port = 9};
  const UdpToSend datagram{.bytes = base::as_bytes("x"), .remote = other};
  EXPECT_EQ(send_batch(a_, {&datagram, 1}).value().refused, 1U);
}

TEST_P(UdpTest, MovesMoreThanOneBatch) {
  constexpr std::size_t kCount = kUdpBatchMax + 20;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < kCount; ++i) texts.push_back("number " + std::to_string(i));
  std::vector<UdpToSend> batch;
  for (const std::string& text : texts)
    batch.push_back({.bytes = base::as_bytes(text), .remote = to_b_});
  ASSERT_EQ(send_batch(a_, batch).value().sent, kCount);
  const auto arrived = receive(b_, kCount);
  ASSERT_EQ(arrived.size(), kCount);
  for (std::size_t i = 0; i < kCount; ++i) EXPECT_EQ(arrived[i].text, texts[i]);
}

TEST_P(UdpTest, MarksWhatDidNotFit) {
  const UdpToSend datagram{.bytes = base::as_bytes("0123456789"), .remote = to_b_};
  ASSERT_EQ(send_batch(a_, {&datagram, 1}).value().sent, 1U);
  const auto arrived = receive(b_, 1, 4);
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].text, "0123");
  EXPECT_TRUE(arrived[0].slot.truncated);
}

TEST_P(UdpTest, NothingWaitingIsNoError) {
  std::array<std::uint8_t, 8> buffer{};
  UdpReceived slot{.buffer = buffer};
  EXPECT_EQ(receive_batch(a_, {&slot, 1}).value(), 0U);
  EXPECT_EQ(receive_batch(Fd(), {&slot, 1}).error().os_errno, EBADF);
  EXPECT_EQ(fcntl(a_.get(), F_GETFD), FD_CLOEXEC);
}

TEST(Udp, SendsFromAChosenAddress) {
  const auto a = open_udp({});
  const auto b = open_udp({});
  const UdpToSend datagram{
      .bytes = base::as_bytes("x"),
      .remote = {.address = *IpAddress::parse("127.0.0.1"), .port = local_port(*b).value()},
      .local = {.address = *IpAddress::parse("127.0.0.5"), .known = true}};
  ASSERT_EQ(send_batch(*a, {&datagram, 1}).value().sent, 1U);
  const auto arrived = receive(*b, 1);
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].slot.remote.address.to_string(), "127.0.0.5");
}

TEST(Udp, APortTakenIsAConflictWithARemedy) {
  const auto first = open_udp({});
  const std::uint16_t port = local_port(*first).value();
  const auto second = open_udp({.port = port});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::Conflict);
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(port)));
  EXPECT_FALSE(second.error().hint.empty());
}

TEST(Udp, WorkersShareAPortOnPurpose) {
  const auto first = open_udp({.reuse_port = true});
  EXPECT_TRUE(open_udp({.port = local_port(*first).value(), .reuse_port = true}));
}

TEST(Udp, BothFamiliesHaveThePort) {
  const auto v6 = open_udp({.family = Family::V6});
  if (!v6) GTEST_SKIP() << "this host has no IPv6: " << v6.error().message;
  EXPECT_TRUE(open_udp({.family = Family::V4, .port = local_port(*v6).value()}));
}

int option_of(const Fd& socket, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(socket.get(), level, option, &value, &size);
  return value;
}

TEST(Udp, OuterPacketsMayBeFragmented) {
  const auto socket = open_udp({});
  EXPECT_EQ(option_of(*socket, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_DONT);
}

TEST(Udp, MarkAndBufferWithPrivilege) {
  const auto socket = open_udp({.mark = 0x1234});
  if (!socket && socket.error().kind == ErrorKind::NotPermitted)
    GTEST_SKIP() << "needs CAP_NET_ADMIN: " << socket.error().message;
  ASSERT_TRUE(socket) << socket.error().message;
  EXPECT_EQ(option_of(*socket, SOL_SOCKET, SO_MARK), 0x1234);
  EXPECT_GE(option_of(*socket, SOL_SOCKET, SO_RCVBUF), 7 << 20);
  EXPECT_GE(option_of(*socket, SOL_SOCKET, SO_SNDBUF), 1 << 20);
  ASSERT_TRUE(set_mark(*socket, 0));
  EXPECT_EQ(option_of(*socket, SOL_SOCKET, SO_MARK), 0);
}

}  // namespace
}  // namespace warren::os
