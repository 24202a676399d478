// Forwards in the kernel: they read back as planned, come and go without touching another, and
// leave nothing behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hostnet/test_world.hpp"

namespace warren::hostnet {
namespace {

using plan::HostForward;
using plan::HostNetwork;

HostForward forward(model::Protocol protocol, std::uint16_t port) {
  return {.from = {protocol, port},
          .to4 = base::IpAddress::parse("10.20.0.5"),
          .to6 = base::IpAddress::parse("fd20::5"),
          .to_port = 80};
}

HostNetwork with_forwards(HostNetwork network, bool nat) {
  network.nat = nat;
  network.forwards = {forward(model::Protocol::Tcp, 8080), forward(model::Protocol::Udp, 53)};
  return network;
}

TEST(Forwards, ReadBackAsPlannedWithAndWithoutNat) {
  World::tell([](World& world) {
    const auto before = snapshot();
    const auto host = world.open();
    for (const bool nat : {true, false}) {
      const HostNetwork lab = with_forwards(world.network(world.name('a'), 1), nat);
      ASSERT_DONE(plan::reconcile(*host, {lab}));
      EXPECT_THAT(plan::preview(*host, {lab}).value(), testing::IsEmpty());
      EXPECT_THAT(plan::preview(*world.open(), {lab}).value(), testing::IsEmpty());
    }
    ASSERT_DONE(plan::reconcile(*host, {}));
    EXPECT_EQ(difference(before, snapshot()), "");
  });
}

TEST(Forwards, OneComesAndGoesAloneAndAnUnknownOneIsRemoved) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork two = with_forwards(world.network(world.name('a'), 1), true);
    HostNetwork three = two;
    three.forwards.push_back(forward(model::Protocol::Tcp, 8081));
    ASSERT_DONE(plan::reconcile(*host, {two}));
    const auto before = snapshot();
    EXPECT_EQ(plan::reconcile(*host, {three}).value(), 4U);
    EXPECT_EQ(plan::reconcile(*host, {two}).value(), 4U);
    EXPECT_EQ(difference(before, snapshot()), "");
    ASSERT_DONE(plan::reconcile(*host, {three}));
    ASSERT_DONE(host->close_forwards(three, {three.forwards.back()}));
    ASSERT_DONE(host->close_forwards(three, {three.forwards.back()}));  // gone already
    EXPECT_THAT(plan::preview(*host, {two}).value(), testing::IsEmpty());
  });
}

TEST(Forwards, FailingHalfWayLeavesTheHostAsBefore) {
  World::tell([](World& world) {
    const auto host = world.open();
    const HostNetwork bare = world.network(world.name('a'), 1);
    ASSERT_DONE(plan::reconcile(*host, {bare}));
    const auto before = snapshot();
    const auto observed = host->observe();
    ASSERT_DONE(observed);
    const auto plan = plan::make_plan({with_forwards(bare, true)}, *observed);
    ASSERT_DONE(plan);
    EXPECT_GT(plan->size(), 8U);  // the namespace's table is another one, then eight elements
    for (std::size_t done = 1; done <= plan->size(); ++done) {
      for (std::size_t at = 0; at < done; ++at) ASSERT_DONE(host->apply((*plan)[at]));
      for (std::size_t at = done; at-- > 0;) ASSERT_DONE(host->apply((*plan)[at].inverse()));
      ASSERT_EQ(difference(before, snapshot()), "") << "after " << done << " steps";
    }
  });
}

}  // namespace
}  // namespace warren::hostnet
