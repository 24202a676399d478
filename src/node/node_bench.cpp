// What the protocol costs without any system call: packets through two nodes in one process, and
// whole handshakes.
#include <benchmark/benchmark.h>

#include "node/node_test_support.hpp"

namespace warren::node {
namespace {

struct Joined : World {
  Joined() {
    connect(a, b);
    a.send(b, "start");
    settle();
  }
  Host& a = add("10.0.0.1", "192.0.2.1:51820");
  Host& b = add("10.0.0.2", "192.0.2.2:51820");
};

void one_way(benchmark::State& state) {
  Joined world;
  const auto size = static_cast<std::size_t>(state.range(0));
  const auto inner = ip_packet(world.a.inner, world.b.inner, std::string(size - 20, 'x'));
  std::vector<wire::Packet> batch(32);
  std::vector<Datagram> wires(32);
  for (auto _ : state) {
    for (wire::Packet& packet : batch) packet = world.a.pool.copy_of(inner);
    world.a.node.handle_packets(batch, world.now, world.wall);
    std::size_t count = 0;
    while (auto out = world.a.node.poll_datagram()) {
      out->remote = world.a.endpoint;
      wires[count++] = std::move(*out);
    }
    world.b.node.handle_datagrams({wires.data(), count}, world.now, world.wall);
    while (auto packet = world.b.node.poll_packet()) benchmark::DoNotOptimize(packet->size());
  }
  if (world.a.drops() + world.b.drops() != 0) state.SkipWithError("packets were dropped");
  state.SetItemsProcessed(state.iterations() * 32);
  state.SetBytesProcessed(state.iterations() * 32 * state.range(0));
}
BENCHMARK(one_way)->Arg(64)->Arg(1420);

void handshake(benchmark::State& state) {
  Joined world;
  for (auto _ : state) {
    world.pass(std::chrono::seconds(200));
    world.a.node.initiate(world.b.key(), world.now, world.wall);
    world.settle();
    world.log.clear();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(handshake);

}  // namespace
}  // namespace warren::node
