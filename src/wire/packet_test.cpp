#include "wire/packet.hpp"

#include <gtest/gtest.h>

namespace warren::wire {
namespace {

TEST(Packet, GrowsIntoItsHeadroomAndTailroom) {
  PacketPool pool(100, 4);
  Packet packet = pool.take(100);
  ASSERT_TRUE(packet);
  packet.bytes()[0] = 42;
  packet.push_front(kHeadroom);
  packet.push_back(kTailroom);
  EXPECT_EQ(packet.size(), 100 + kHeadroom + kTailroom);
  EXPECT_EQ(packet.bytes()[kHeadroom], 42);
  packet.pop_front(kHeadroom);
  packet.pop_back(kTailroom + 99);
  EXPECT_EQ(packet.size(), 1U);
  EXPECT_EQ(packet.bytes()[0], 42);
}

TEST(PacketPool, StopsAtItsLimitAndReusesSlots) {
  PacketPool pool(10, 2);
  Packet first = pool.take(10);
  Packet second = pool.take(1);
  EXPECT_FALSE(pool.take(1));
  first = Packet{};
  EXPECT_TRUE(pool.take(1));
  EXPECT_EQ(pool.in_use(), 1U);
}

TEST(PacketPool, RefusesMoreThanASlotHolds) {
  PacketPool pool(10, 2);
  EXPECT_FALSE(pool.take(11));
  EXPECT_EQ(pool.in_use(), 0U);
}

TEST(PacketPool, CopiesBytes) {
  PacketPool pool(10, 2);
  const std::uint8_t bytes[] = {1, 2, 3};
  const Packet packet = pool.copy_of(bytes);
  EXPECT_TRUE(std::equal(packet.bytes().begin(), packet.bytes().end(), std::begin(bytes)));
}

TEST(Packet, MovingLeavesNothingBehind) {
  PacketPool pool(10, 2);
  Packet packet = pool.take(3);
  const Packet moved = std::move(packet);
  EXPECT_TRUE(moved);
  EXPECT_EQ(pool.in_use(), 1U);
}

}  // namespace
}  // namespace warren::wire
