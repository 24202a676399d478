// What the protocol costs without any system call, per packet, each step by itself: `locked` is
// what a worker holds the node's lock for, `free` is cutting, framing and cryptography. Then whole
// handshakes.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>

#include "node/batch_test_support.hpp"

namespace warren::node {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

/// Time in both kinds of step over all packets.
struct Cost {
  void report(benchmark::State& state) const {
    const auto count = static_cast<double>(packets);
    state.SetItemsProcessed(static_cast<std::int64_t>(packets));
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
    state.counters["locked_ns"] = locked / count;
    state.counters["free_ns"] = free / count;
    state.counters["locked_%"] = 100 * locked / (locked + free);
  }
  double locked = 0;
  double free = 0;
  std::size_t packets = 0;
  std::size_t bytes = 0;
};

/// What one read of a tun in a busy moment brings.
std::vector<SuperPacket> input_of(const Linked& world, benchmark::State& state) {
  if (state.range(0) != 0) {
    const auto segment = static_cast<std::uint16_t>(state.range(0));
    return {tcp_super_packet(world.a.inner, world.b.inner, 64000, segment)};
  }
  const auto small = ip_packet(world.a.inner, world.b.inner, std::string(44, 'x'));
  return std::vector<SuperPacket>(64, {.bytes = small, .offload = {}});
}

void fill(Worker& worker, const std::vector<SuperPacket>& input) {
  for (const SuperPacket& packet : input) worker.add(packet.bytes, packet.offload);
}

void plan_and_seal(benchmark::State& state) {
  Linked world;
  const auto input = input_of(world, state);
  Cost cost;
  for (auto _ : state) {
    state.PauseTiming();
    fill(world.worker, input);
    state.ResumeTiming();
    const auto start = Clock::now();
    world.plan(world.worker);
    const auto planned = Clock::now();
    world.worker.out.seal();
    cost.free += since(planned);
    cost.locked += std::chrono::duration<double, std::nano>(planned - start).count();
    state.PauseTiming();
    for (const Datagram& train : world.worker.out.trains()) {
      const std::size_t step = std::max<std::size_t>(train.segment_size, 1);
      cost.packets += train.segment_size == 0 ? 1 : (train.packet.size() + step - 1) / step;
      cost.bytes += train.packet.size();
    }
    world.worker.out.clear();
    state.ResumeTiming();
  }
  if (world.a.drops() != 0) state.SkipWithError("packets were dropped");
  cost.report(state);
}
BENCHMARK(plan_and_seal)->ArgName("segment")->Arg(1360)->Arg(0);

void identify_open_accept(benchmark::State& state) {
  Linked world;
  const auto input = input_of(world, state);
  Cost cost;
  for (auto _ : state) {
    state.PauseTiming();
    fill(world.worker, input);
    world.plan(world.worker);
    world.worker.out.seal();
    world.carry(world.worker, world.other);
    Incoming& in = world.other.in;
    state.ResumeTiming();
    const auto start = Clock::now();
    world.b.node.identify(in, world.now, world.wall);
    const auto identified = Clock::now();
    in.open();
    const auto opened = Clock::now();
    world.b.node.accept(in, world.now, world.wall);
    cost.locked += since(opened);
    cost.locked += std::chrono::duration<double, std::nano>(identified - start).count();
    cost.free += std::chrono::duration<double, std::nano>(opened - identified).count();
    state.PauseTiming();
    cost.packets += in.packets().size();
    for (const base::MutableBytes packet : in.packets()) cost.bytes += packet.size();
    in.clear();
    state.ResumeTiming();
  }
  if (world.b.drops() != 0) state.SkipWithError("packets were dropped");
  cost.report(state);
}
BENCHMARK(identify_open_accept)->ArgName("segment")->Arg(1360)->Arg(0);

/// A ping: one packet alone, from tun to tun.
void one_packet(benchmark::State& state) {
  Linked world;
  const auto inner = ip_packet(world.a.inner, world.b.inner, std::string(64, 'x'));
  for (auto _ : state) {
    world.worker.add(inner);
    world.plan(world.worker);
    world.worker.out.seal();
    Datagram& out = world.worker.out.trains()[0];
    out.remote = world.a.endpoint;
    world.other.in.add(std::move(out));
    world.b.node.identify(world.other.in, world.now, world.wall);
    world.other.in.open();
    world.b.node.accept(world.other.in, world.now, world.wall);
    world.other.in.clear();
    world.worker.out.clear();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(one_packet);

/// Both sides of a handshake.
void handshake(benchmark::State& state) {
  Linked world;
  for (auto _ : state) {
    world.pass(std::chrono::seconds(200));
    world.a.node.initiate(world.b.key(), world.now, world.wall);
    world.settle();
    world.log.clear();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(handshake);

/// The responder's side alone, as a gateway's storm asks for it.
void answer_handshake(benchmark::State& state) {
  Linked world;
  world.hook = [](Travelled&) { return false; };
  for (auto _ : state) {
    state.PauseTiming();
    world.pass(std::chrono::seconds(200));
    world.a.node.initiate(world.b.key(), world.now, world.wall);
    auto initiation = world.a.node.poll_datagram();
    while (world.a.node.poll_datagram()) {
    }
    initiation->remote = world.a.endpoint;
    state.ResumeTiming();
    world.b.node.handle_datagrams({&*initiation, 1}, world.now, world.wall);
    state.PauseTiming();
    while (world.b.node.poll_datagram()) {
    }
    state.ResumeTiming();
  }
  if (world.b.node.counters().handshakes_answered <
      static_cast<std::uint64_t>(state.iterations())) {
    state.SkipWithError("handshakes were not answered");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(answer_handshake);

/// The same in the steps of a worker: the lock is held for `locked_us` per handshake, in pieces of
/// which one in a thousand takes longer than `p999_us`. (The longest is the scheduler's.)
void answer_handshake_in_steps(benchmark::State& state) {
  Linked world;
  world.hook = [](Travelled&) { return false; };
  SeededRandom random(5);
  HandshakeWork work(random);
  double locked = 0;
  std::vector<double> holds;
  double free = 0;
  for (auto _ : state) {
    state.PauseTiming();
    world.pass(std::chrono::seconds(200));
    world.a.node.initiate(world.b.key(), world.now, world.wall);
    auto initiation = world.a.node.poll_datagram();
    while (world.a.node.poll_datagram()) {
    }
    initiation->remote = world.a.endpoint;
    world.other.add(*initiation);
    static_cast<void>(receive(world.b, world.other, world));
    state.ResumeTiming();
    std::size_t budget = Node::handshake_budget(1);
    for (;;) {
      const auto start = Clock::now();
      const bool more = world.b.node.advance(work, budget, world.now, world.wall);
      const double held = since(start);
      locked += held;
      holds.push_back(held);
      if (!more) break;
      const auto free_from = Clock::now();
      work.compute();
      free += since(free_from);
    }
    state.PauseTiming();
    while (world.b.node.poll_datagram()) {
    }
    state.ResumeTiming();
  }
  const auto count = static_cast<double>(state.iterations());
  state.counters["locked_us"] = locked / count / 1000;
  const auto late = holds.begin() + static_cast<std::ptrdiff_t>(holds.size() * 999 / 1000);
  std::ranges::nth_element(holds, late);
  state.counters["p999_us"] = *late / 1000;
  state.counters["free_us"] = free / count / 1000;
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(answer_handshake_in_steps);

}  // namespace
}  // namespace warren::node
