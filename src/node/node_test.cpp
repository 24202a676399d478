#include "node/node.hpp"

#include <gtest/gtest.h>

#include "node/node_test_support.hpp"

namespace warren::node {
namespace {

using namespace std::chrono_literals;

TEST(Node, TwoNodesShakeHandsAndCarryPackets) {
  World world;
  Host& a = world.add("10.0.0.1", "192.0.2.1:51820");
  Host& b = world.add("10.0.0.2", "192.0.2.2:51820");
  world.connect(a, b);
  a.send(b, "hello");
  world.settle();
  EXPECT_EQ(b.received, std::vector<std::string>{"hello"});
  b.send(a, "and back");
  world.settle();
  EXPECT_EQ(a.received, std::vector<std::string>{"and back"});
  EXPECT_EQ(a.node.counters().handshakes_completed, 1U);
  EXPECT_EQ(b.node.counters().handshakes_completed, 1U);
  EXPECT_EQ(a.drops(), 0U);
  EXPECT_EQ(b.drops(), 0U);
}

}  // namespace
}  // namespace warren::node
