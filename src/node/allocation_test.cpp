// The promise that a packet costs no allocation, checked by counting operator new in this program.
#include <gtest/gtest.h>

#include "base/counting_allocator.hpp"
#include "node/batch_test_support.hpp"

namespace warren::node {
namespace {

TEST(Allocation, APacketCostsNoneOnceThePeersAreWarm) {
  World world;
  Host& a = world.add("10.0.0.1", "192.0.2.1:51820");
  Host& b = world.add("10.0.0.2", "192.0.2.2:51820");
  world.connect(a, b);
  a.send(b, "start");
  world.settle();
  const auto inner = ip_packet(a.inner, b.inner, "payload");
  std::array<wire::Packet, 16> batch;
  std::array<Datagram, 16> wires;
  const auto round = [&] {
    for (wire::Packet& packet : batch) packet = a.pool.copy_of(inner);
    a.node.handle_packets(batch, world.now, world.wall);
    for (Datagram& datagram : wires) {
      datagram = *a.node.poll_datagram();
      datagram.remote = a.endpoint;
    }
    b.node.handle_datagrams(wires, world.now, world.wall);
    std::size_t count = 0;
    while (b.node.poll_packet()) ++count;
    return count;
  };
  EXPECT_EQ(round(), batch.size());
  const std::size_t before = base::allocations;
  std::size_t packets = 0;
  for (int i = 0; i < 100; ++i) packets += round();
  const std::size_t during = base::allocations - before;
  EXPECT_EQ(packets, 1600U);
  EXPECT_EQ(during, 0U);
  EXPECT_GT(before, 0U);  // the count counts
}

TEST(Allocation, ABatchOfTrainsCostsNone) {
  Linked world;
  const SuperPacket super = tcp_super_packet(world.a.inner, world.b.inner, 60000, 1360);
  const auto small = ip_packet(world.a.inner, world.b.inner, "small");
  const auto round = [&] {
    for (int i = 0; i < 4; ++i) {
      world.worker.add(super.bytes, super.offload);
      world.worker.add(small);
    }
    world.plan(world.worker);
    world.worker.out.seal();
    world.carry(world.worker, world.other);
    world.b.node.identify(world.other.in, world.now, world.wall);
    world.other.in.open();
    world.b.node.accept(world.other.in, world.now, world.wall);
    const std::size_t count = world.other.in.packets().size();
    world.other.in.clear();
    return count;
  };
  EXPECT_EQ(round(), 4U * 46U);
  const std::size_t before = base::allocations;
  std::size_t packets = 0;
  for (int i = 0; i < 100; ++i) packets += round();
  const std::size_t during = base::allocations - before;
  EXPECT_EQ(packets, 400U * 46U);
  EXPECT_EQ(during, 0U);
}

}  // namespace
}  // namespace warren::node
