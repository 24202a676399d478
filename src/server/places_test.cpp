#include "server/places.hpp"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::server {
namespace {

using base::IpAddress;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const IpAddress kCrowd = *IpAddress::parse("192.0.2.1");
const IpAddress kAnn = *IpAddress::parse("192.0.2.2");
const IpAddress kBob = *IpAddress::parse("192.0.2.3");

struct Listener {
  Connections open;
  std::vector<int> closed;
  void add(const IpAddress& source, int number) {
    open.add(source, [this, number] { closed.push_back(number); });
  }
};

TEST(Connections, WhoHasMostLosesItsOldestToWhoHasFewer) {
  Listener all;
  for (int i = 0; i < 3; ++i) all.add(kCrowd, i);
  all.add(kAnn, 10);
  EXPECT_TRUE(all.open.make_room(kBob));
  EXPECT_THAT(all.closed, ElementsAre(0));
  EXPECT_EQ(all.open.size(), 3U);
  all.add(kBob, 20);
  EXPECT_FALSE(all.open.make_room(kAnn)) << "it would have as many as the other then";
  EXPECT_FALSE(all.open.make_room(kCrowd)) << "nobody has more";
  EXPECT_THAT(all.closed, ElementsAre(0));
}

TEST(Connections, AmongEqualsNobodyLosesAnything) {
  Listener all;
  all.add(kCrowd, 1);
  all.add(kAnn, 2);
  EXPECT_FALSE(all.open.make_room(kBob));
  EXPECT_THAT(all.closed, IsEmpty());
}

struct Home {
  Places places;
  int closed = 0;
  std::unique_ptr<Place> place(const IpAddress& source, std::size_t most = 2) {
    return std::make_unique<Place>(places, source, most, [this] { ++closed; });
  }
};

TEST(Place, WhoeverIsKnownGivesItsPlaceAmongTheStrangersBack) {
  Home home;
  const auto first = home.place(kAnn);
  const auto second = home.place(kAnn);
  EXPECT_TRUE(first->granted() && second->granted());
  EXPECT_FALSE(home.place(kAnn)->granted());
  first->become_known("ann", 1, 10);
  EXPECT_TRUE(first->is_known());
  EXPECT_TRUE(home.place(kAnn)->granted());
  EXPECT_EQ(home.places.strangers.size(), 1U);
  second->become_known("ann", 1, 10);
  EXPECT_FALSE(second->is_known()) << "ann may have one";
  EXPECT_TRUE(second->granted()) << "it stays a stranger's";
  second->become_known("bob", 1, 1);
  EXPECT_FALSE(second->is_known()) << "all places of the known are taken";
  home.places.close_all();
  EXPECT_EQ(home.closed, 2);
}

TEST(Place, WhatEndsLeavesNothingBehind) {
  Home home;
  {
    const auto stranger = home.place(kAnn);
    const auto known = home.place(kBob);
    known->become_known("bob", 1, 10);
  }
  EXPECT_EQ(home.places.strangers.size() + home.places.known.size(), 0U);
  EXPECT_TRUE(home.places.of_source.empty() && home.places.of_known.empty());
}

TEST(Place, OneThatHadToGoCanStillEnd) {
  Home home;
  {
    const auto first = home.place(kCrowd);
    const auto second = home.place(kCrowd);
    EXPECT_TRUE(home.places.strangers.make_room(kAnn));
    EXPECT_EQ(home.closed, 1);
    EXPECT_EQ(home.places.strangers.size(), 1U);
  }
  EXPECT_TRUE(home.places.of_source.empty());
}

}  // namespace
}  // namespace warren::server
