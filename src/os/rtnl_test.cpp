#include "os/rtnl.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>

namespace warren::os {
namespace {

using base::ErrorKind;
using base::IpAddress;
using base::Prefix;

Prefix prefix(const char* text) { return Prefix::parse(text).value(); }
IpAddress address(const char* text) { return IpAddress::parse(text).value(); }

// Each test runs on a thread of its own in a fresh network namespace; nothing of the machine's is
// seen or touched.
class RtnlTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to make network namespaces";
  }
  static void in_fresh_namespace(const std::function<void()>& fn) {
    std::thread([&] {
      ASSERT_EQ(unshare(CLONE_NEWNET), 0);
      fn();
    }).join();
  }
  static Fd this_namespace() {
    return Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }
};

#define OK(expr)                                     \
  do {                                               \
    const auto status_ = (expr);                     \
    ASSERT_TRUE(status_) << status_.error().message; \
  } while (false)

TEST_F(RtnlTest, FreshNamespaceHasLoopbackOnly) {
  in_fresh_namespace([] {
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(rtnl);
    const auto links = rtnl->links();
    ASSERT_TRUE(links);
    ASSERT_EQ(links->size(), 1U);
    EXPECT_EQ(links->front().name, "lo");
    EXPECT_FALSE(links->front().up);
    EXPECT_TRUE(rtnl->addresses().value().empty());
    EXPECT_TRUE(rtnl->routes().value().empty());
  });
}

TEST_F(RtnlTest, BridgeHasWhatWasSet) {
  in_fresh_namespace([] {
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(rtnl);
    OK(rtnl->add_bridge("br0"));
    OK(rtnl->set_mtu("br0", 1420));
    OK(rtnl->set_alias("br0", "warren:instance"));
    OK(rtnl->set_up("br0", true));
    auto link = rtnl->link("br0");
    ASSERT_TRUE(link);
    EXPECT_EQ(link->kind, "bridge");
    EXPECT_EQ(link->mtu, 1420U);
    EXPECT_EQ(link->alias, "warren:instance");
    EXPECT_TRUE(link->up);
    OK(rtnl->set_up("br0", false));
    OK(rtnl->set_alias("br0", ""));
    link = rtnl->link("br0");
    ASSERT_TRUE(link);
    EXPECT_FALSE(link->up);
    EXPECT_EQ(link->alias, "");
    OK(rtnl->delete_link("br0"));
    EXPECT_EQ(rtnl->link("br0").error().kind, ErrorKind::NotFound);
  });
}

TEST_F(RtnlTest, RefusalsSayWhatAndWhy) {
  in_fresh_namespace([] {
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(rtnl);
    OK(rtnl->add_bridge("br0"));
    const auto twice = rtnl->add_bridge("br0");
    ASSERT_FALSE(twice);
    EXPECT_EQ(twice.error().kind, ErrorKind::Conflict);
    EXPECT_EQ(twice.error().message, "add bridge br0: File exists");
    EXPECT_EQ(rtnl->delete_link("nope").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(rtnl->add_address("nope", prefix("10.0.0.1/24")).error().kind, ErrorKind::NotFound);
    EXPECT_EQ(rtnl->add_bridge("a-name-far-too-long").error().kind, ErrorKind::Invalid);
    EXPECT_EQ(rtnl->link("").error().kind, ErrorKind::Invalid);
    // The socket is still in step after errors.
    EXPECT_TRUE(rtnl->link("br0"));
  });
}

TEST_F(RtnlTest, VethPeerAppearsInOtherNamespace) {
  in_fresh_namespace([] {
    Fd other;
    std::thread([&] {
      ASSERT_EQ(unshare(CLONE_NEWNET), 0);
      other = this_namespace();
    }).join();
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(rtnl);
    OK(rtnl->add_veth("near", "far", other.get()));
    EXPECT_EQ(rtnl->link("far").error().kind, ErrorKind::NotFound);
    auto near = rtnl->link("near");
    ASSERT_TRUE(near);
    EXPECT_EQ(near->kind, "veth");
    std::thread([&] {
      ASSERT_EQ(setns(other.get(), CLONE_NEWNET), 0);
      auto inside = Rtnl::open();
      ASSERT_TRUE(inside);
      auto far = inside->link("far");
      ASSERT_TRUE(far);
      EXPECT_EQ(far->index, near->peer_index);
    }).join();
    OK(rtnl->delete_link("near"));
  });
}

TEST_F(RtnlTest, AGroupIsDeletedAsOneAndAlone) {
  in_fresh_namespace([] {
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(rtnl);
    constexpr std::uint32_t kBorn = 0x77000001;
    constexpr std::uint32_t kGoing = 0x77000002;
    for (const char* name : {"a", "b", "c"})
      OK(rtnl->add_veth(std::string(name) + "0", std::string(name) + "1", this_namespace().get(),
                        kBorn));
    EXPECT_EQ(rtnl->link("a1").value().group, kBorn);
    EXPECT_EQ(rtnl->link("a0").value().group, 0U);
    OK(rtnl->set_group("a1", kGoing));
    OK(rtnl->set_group("b1", kGoing));
    OK(rtnl->delete_group(kGoing));
    for (const char* gone : {"a0", "a1", "b0", "b1"})
      EXPECT_EQ(rtnl->link(gone).error().kind, ErrorKind::NotFound);
    EXPECT_TRUE(rtnl->link("c1"));
    EXPECT_EQ(rtnl->delete_group(kGoing).error().kind, ErrorKind::NotFound);
  });
}

TEST_F(RtnlTest, MasterAndMove) {
  in_fresh_namespace([] {
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(rtnl);
    OK(rtnl->add_bridge("br0"));
    OK(rtnl->add_veth("a", "b"));
    OK(rtnl->set_master("a", "br0"));
    EXPECT_EQ(rtnl->link("a").value().master, rtnl->link("br0").value().index);
    OK(rtnl->set_master("a", ""));
    EXPECT_EQ(rtnl->link("a").value().master, 0U);
    Fd other;
    std::thread([&] {
      ASSERT_EQ(unshare(CLONE_NEWNET), 0);
      other = this_namespace();
    }).join();
    OK(rtnl->move_to_netns("b", other));
    EXPECT_FALSE(rtnl->link("b"));
  });
}

TEST_F(RtnlTest, AddressesOfBothFamilies) {
  in_fresh_namespace([] {
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(rtnl);
    OK(rtnl->add_bridge("br0"));
    OK(rtnl->add_address("br0", prefix("10.0.0.1/24")));
    OK(rtnl->add_address("br0", prefix("fd00::1/64")));
    EXPECT_EQ(rtnl->add_address("br0", prefix("10.0.0.1/24")).error().kind, ErrorKind::Conflict);
    auto all = rtnl->addresses();
    ASSERT_TRUE(all);
    std::vector<Prefix> seen;
    for (const LinkAddress& entry : *all) seen.push_back(entry.prefix);
    EXPECT_THAT(seen, testing::UnorderedElementsAre(prefix("10.0.0.1/24"), prefix("fd00::1/64")));
    OK(rtnl->delete_address("br0", prefix("10.0.0.1/24")));
    OK(rtnl->delete_address("br0", prefix("fd00::1/64")));
    EXPECT_TRUE(rtnl->addresses().value().empty());
  });
}

TEST_F(RtnlTest, RoutesAddReplaceDelete) {
  in_fresh_namespace([] {
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(rtnl);
    OK(rtnl->add_veth("a", "b"));
    OK(rtnl->set_up("a", true));
    OK(rtnl->set_up("b", true));
    OK(rtnl->add_address("a", prefix("192.0.2.1/24")));
    OK(rtnl->add_address("a", prefix("2001:db8::1/64")));
    const auto link = rtnl->link("a").value().index;
    const Route four{.destination = prefix("0.0.0.0/0"), .gateway = address("192.0.2.2")};
    const Route six{.destination = prefix("::/0"), .gateway = address("2001:db8::2")};
    const Route direct{.destination = prefix("10.9.0.0/16"), .link = link, .table = 1000};
    OK(rtnl->add_route(four));
    OK(rtnl->add_route(six));
    OK(rtnl->add_route(direct));
    EXPECT_EQ(rtnl->add_route(four).error().kind, ErrorKind::Conflict);
    OK(rtnl->add_route({.destination = four.destination, .gateway = address("192.0.2.3")}, true));
    const auto find = [&](const Prefix& to) {
      const auto all = rtnl->routes().value();
      const auto at = std::ranges::find(all, to, &Route::destination);
      return at == all.end() ? std::optional<Route>() : std::optional<Route>(*at);
    };
    ASSERT_TRUE(find(four.destination));
    EXPECT_EQ(find(four.destination)->gateway, address("192.0.2.3"));
    EXPECT_EQ(find(four.destination)->link, link);
    EXPECT_EQ(find(six.destination)->gateway, address("2001:db8::2"));
    EXPECT_EQ(find(direct.destination)->table, 1000U);
    EXPECT_FALSE(find(direct.destination)->gateway);
    OK(rtnl->delete_route({.destination = four.destination}));
    OK(rtnl->delete_route(six));
    OK(rtnl->delete_route(direct));
    EXPECT_FALSE(find(four.destination));
    EXPECT_FALSE(find(six.destination));
    EXPECT_FALSE(find(direct.destination));
  });
}

TEST_F(RtnlTest, ProxyNeighbours) {
  in_fresh_namespace([] {
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(rtnl);
    OK(rtnl->add_bridge("br0"));
    OK(rtnl->add_proxy_neighbour("br0", address("10.0.0.9")));
    OK(rtnl->add_proxy_neighbour("br0", address("fd00::9")));
    EXPECT_FALSE(rtnl->add_proxy_neighbour("nope", address("10.0.0.9")));
  });
}

TEST_F(RtnlTest, WhatIsRedirectedComesInOnAnotherLink) {
  in_fresh_namespace([] {
    const Fd here = this_namespace();
    auto rtnl = Rtnl::open().value();
    OK(rtnl.add_bridge("real"));
    OK(rtnl.add_address("real", prefix("192.0.2.1/24")));
    OK(rtnl.set_up("real", true));
    const std::uint32_t real = rtnl.link("real").value().index;
    Fd receiver(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int yes = 1;
    ASSERT_EQ(setsockopt(receiver.get(), IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes), 0);
    sockaddr_in bound{.sin_family = AF_INET, .sin_port = htons(4000), .sin_addr = {}, .sin_zero{}};
    ASSERT_EQ(bind(receiver.get(), reinterpret_cast<const sockaddr*>(&bound), sizeof bound), 0);
    std::thread([&] {
      ASSERT_EQ(unshare(CLONE_NEWNET), 0);
      auto far = Rtnl::open().value();
      OK(far.add_veth("out", "in", here.get()));
      OK(rtnl.set_up("in", true));
      const base::Status redirected = rtnl.redirect_incoming("in", real);
      if (!redirected) GTEST_SKIP() << redirected.error().message;
      EXPECT_EQ(rtnl.redirect_incoming("in", real).error().os_errno, EEXIST);
      OK(far.add_address("out", prefix("192.0.2.9/32")));
      OK(far.set_up("out", true));
      OK(far.add_route({.destination = prefix("0.0.0.0/0"), .link = far.link("out")->index}));
      OK(far.add_neighbour("out", address("192.0.2.1"), rtnl.link("in")->mac));
      const Fd sender(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      sockaddr_in to = bound;
      inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
      ASSERT_EQ(sendto(sender.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
                1);
      pollfd ready{.fd = receiver.get(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(poll(&ready, 1, 20'000), 1) << "nothing came in";
      char byte = 0;
      iovec part{.iov_base = &byte, .iov_len = 1};
      alignas(cmsghdr) std::array<char, 128> control{};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      ASSERT_EQ(recvmsg(receiver.get(), &message, 0), 1);
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof info);
      EXPECT_EQ(static_cast<std::uint32_t>(info.ipi_ifindex), real);
    }).join();
  });
}

TEST_F(RtnlTest, ListsMoreThanOneDatagramOfLinks) {
  in_fresh_namespace([] {
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(rtnl);
    for (int i = 0; i < 100; ++i) OK(rtnl->add_bridge("br" + std::to_string(i)));
    EXPECT_EQ(rtnl->links().value().size(), 101U);
  });
}

TEST_F(RtnlTest, SubscriberSeesChanges) {
  in_fresh_namespace([] {
    auto watcher = Rtnl::open();
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(watcher && rtnl);
    OK(watcher->subscribe());
    EXPECT_FALSE(watcher->drain_changes().value());
    OK(rtnl->add_bridge("br0"));
    pollfd waiting{.fd = watcher->descriptor(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&waiting, 1, 1000), 1);
    EXPECT_TRUE(watcher->drain_changes().value());
    EXPECT_FALSE(watcher->drain_changes().value());
  });
}

TEST_F(RtnlTest, RulesAreAddedOnceAndDeletedExactly) {
  in_fresh_namespace([] {
    auto rtnl = Rtnl::open();
    ASSERT_TRUE(rtnl);
    const auto before = rtnl->rules();
    ASSERT_TRUE(before) << before.error().message;
    const std::vector<Rule> ours = {
        {.family = base::Family::V4, .priority = 90, .table = 51820, .mark = 7, .inverted = true},
        {.family = base::Family::V4, .priority = 89, .table = 254, .udp_source_port = 4000},
        {.family = base::Family::V6,
         .priority = 88,
         .table = 254,
         .suppresses_default_route = true}};
    for (const Rule& rule : ours) {
      OK(rtnl->add_rule(rule));
      EXPECT_EQ(rtnl->add_rule(rule).error().kind, ErrorKind::Conflict);
    }
    auto now = rtnl->rules();
    ASSERT_TRUE(now);
    EXPECT_EQ(now->size(), before->size() + ours.size());
    EXPECT_THAT(*now, testing::IsSupersetOf(ours));
    Rule other = ours[0];
    other.mark = 8;
    EXPECT_FALSE(rtnl->delete_rule(other));
    for (const Rule& rule : ours) OK(rtnl->delete_rule(rule));
    EXPECT_EQ(rtnl->delete_rule(ours[0]).error().kind, ErrorKind::NotFound);
    EXPECT_EQ(rtnl->rules().value(), *before);
  });
}

TEST(NetlinkMessage, MalformedLengthsEndTheWalk) {
  std::vector<std::uint8_t> bytes(64, 0xff);
  int calls = 0;
  EXPECT_FALSE(for_each_message(bytes, [&](const NetlinkMessage&) { ++calls; }));
  for_each_attribute(bytes, [&](std::uint16_t, base::Bytes) { ++calls; });
  EXPECT_EQ(calls, 0);
  for (std::size_t size = 0; size < 16; ++size)
    for_each_message(std::span(bytes).first(size), [&](const NetlinkMessage&) { ++calls; });
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace warren::os
