// Many steps at once, and what a crash leaves in the middle of them.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "hostnet/host_net.hpp"
#include "hostnet/test_world.hpp"

namespace warren::hostnet {
namespace {

using base::ErrorKind;
using plan::HostNetwork;

// What a crash leaves between the birth of a pair and its alias.
TEST(Batch, APairWithoutItsAliasIsFinishedOrRemoved) {
  World::tell([](World& world) {
    const HostNetwork lab = world.network(world.name('a'), 1);
    const auto before = snapshot();
    for (const bool wanted : {true, false}) {
      ASSERT_DONE(plan::reconcile(*world.open(), {lab}));
      output_of("ip link set " + lab.id.uplink_name() + " alias ''");
      const auto successor = world.open();
      if (wanted) {
        EXPECT_THAT(plan::preview(*successor, {lab}).value(), testing::Not(testing::IsEmpty()));
        ASSERT_DONE(plan::reconcile(*successor, {lab}));
        EXPECT_THAT(plan::preview(*successor, {lab}).value(), testing::IsEmpty());
      }
      ASSERT_DONE(plan::reconcile(*successor, {}));
      ASSERT_EQ(difference(before, snapshot()), "");
    }
  });
}

TEST(Batch, AStrangersPairOfOurNameIsRefused) {
  World::tell([](World& world) {
    const HostNetwork lab = world.network(world.name('a'), 1);
    ASSERT_DONE(os::Rtnl::open().value().add_veth(lab.id.uplink_name(), "stranger"));
    const auto refused = plan::reconcile(*world.open(), {lab});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::Conflict);
  });
}

TEST(Batch, ManyNetworksComeAndGoAtOnceAndLeaveOthersAlone) {
  World::tell([](World& world) {
    const auto before = snapshot();
    const auto host = world.open();
    std::vector<HostNetwork> networks;
    for (std::uint32_t at = 1; at <= 6; ++at)
      networks.push_back(world.network(world.name('a'), at));
    ASSERT_DONE(plan::reconcile(*host, networks));
    EXPECT_THAT(plan::preview(*host, networks).value(), testing::IsEmpty());
    const std::vector<HostNetwork> kept = {networks[1], networks[4]};
    ASSERT_DONE(plan::reconcile(*host, kept));
    EXPECT_THAT(plan::preview(*host, kept).value(), testing::IsEmpty());
    for (const HostNetwork& network : networks) {
      const bool is_kept = std::ranges::find(kept, network) != kept.end();
      EXPECT_EQ(std::filesystem::exists("/run/netns/" + network.netns_name()), is_kept);
    }
    // A link that somebody put into the group that ours are deleted by.
    auto rtnl = os::Rtnl::open().value();
    ASSERT_DONE(rtnl.add_bridge("theirs"));
    ASSERT_DONE(rtnl.set_group("theirs", LinkMarks::of(World::instance()).going));
    ASSERT_DONE(plan::reconcile(*host, {}));
    EXPECT_TRUE(rtnl.link("theirs"));
    ASSERT_DONE(rtnl.delete_link("theirs"));
    EXPECT_EQ(difference(before, snapshot()), "");
  });
}

}  // namespace
}  // namespace warren::hostnet
