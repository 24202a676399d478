// What peers cost: bytes of the heap per configured and per active peer, and the time to add,
// find, route to, wake and remove one among very many.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include "wg/allowed_ips.hpp"
#include "wg/deadlines.hpp"
#include "wg/peer_table.hpp"
#include "wg/wg_test_support.hpp"

namespace warren::wg {
namespace {

constexpr base::Duration kCookieLifetime = std::chrono::seconds(120);

base::PublicKey key_of(std::uint64_t number) {
  base::PublicKey key;
  SeededRandom(number * 2 + 1).fill(key.bytes);
  return key;
}

base::IpAddress address_of(std::uint64_t number) {
  return base::IpAddress::v4(static_cast<std::uint32_t>(0x0a000000 + number));
}

double heap_bytes() {
  const struct mallinfo2 now = mallinfo2();
  return static_cast<double>(now.uordblks + now.hblkhd);
}

/// The tables of a node with peers in them, one /32 each.
struct Peers {
  explicit Peers(std::uint64_t count) : table(count + 1) {
    for (std::uint64_t i = 0; i < count; ++i) add(i);
  }
  void add(std::uint64_t number) {
    Peer* peer = table.add(key_of(number), kCookieLifetime);
    peer->endpoint = base::Endpoint{.address = address_of(number), .port = 51820};
    ips.insert(base::Prefix::host(address_of(number)), peer->id);
  }
  void remove(std::uint64_t number) {
    const PeerId id = table.find(key_of(number))->id;
    ips.remove_all(id);
    deadlines.remove(id);
    table.remove(id);
  }

  IndexTable indices;
  PeerTable table;
  AllowedIps ips;
  Deadlines deadlines;
};

void configured(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  double bytes = 0;
  for (auto _ : state) {
    const double before = heap_bytes();
    Peers peers(count);
    bytes = heap_bytes() - before;
  }
  state.counters["bytes/peer"] = bytes / static_cast<double>(count);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(configured)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

/// With a shared secret, a deadline, and two sessions (current and previous).
void active(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  SeededRandom random(1);
  double bytes = 0;
  for (auto _ : state) {
    const double before = heap_bytes();
    Peers peers(count);
    std::array<std::uint8_t, 148> message{};
    peers.table.for_each([&](Peer& peer) {
      peer.static_shared = crypto::SharedSecret();
      peer.cookies.add_macs(message, {});
      for (const Index remote : {1U, 2U}) {
        IndexLease lease = peers.indices.lease(peer.id, random);
        const Index local = lease.index();
        peer.sessions.install(std::make_unique<Keypair>(
            Keypair{std::move(lease), Session(SessionKeys{}, local, remote, Role::Initiator, {})}));
      }
      peer.staged.push(wire::Packet());
      static_cast<void>(peer.staged.pop());
      peers.deadlines.wake_by(peer.id, {static_cast<std::int64_t>(random.below(25'000'000'000))});
    });
    bytes = heap_bytes() - before;
  }
  state.counters["bytes/peer"] = bytes / static_cast<double>(count);
}
BENCHMARK(active)->Arg(100'000)->Unit(benchmark::kMillisecond);

void add_and_remove_one(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  Peers peers(count);
  for (auto _ : state) {
    peers.add(count);
    peers.remove(count);
  }
}
BENCHMARK(add_and_remove_one)->Arg(100)->Arg(100'000);

void find_by_key(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  Peers peers(count);
  std::vector<base::PublicKey> keys;
  for (std::uint64_t i = 0; i < count; ++i) keys.push_back(key_of((i * 7919) % count));
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(peers.table.find(keys[at]));
    at = at + 1 == keys.size() ? 0 : at + 1;
  }
}
BENCHMARK(find_by_key)->Arg(100)->Arg(100'000);

void route(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  Peers peers(count);
  SeededRandom random(3);
  std::vector<base::IpAddress> targets;
  for (int i = 0; i < 4096; ++i) targets.push_back(address_of(random.below(count)));
  std::size_t at = 0;
  for (auto _ : state) benchmark::DoNotOptimize(peers.ips.lookup(targets[at++ % targets.size()]));
}
BENCHMARK(route)->Arg(1)->Arg(100)->Arg(100'000);

void find_index(benchmark::State& state) {
  SeededRandom random(4);
  IndexTable table;
  std::vector<IndexLease> leases;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    leases.push_back(table.lease(PeerId{static_cast<std::uint32_t>(i)}, random));
  }
  std::size_t at = 0;
  for (auto _ : state) benchmark::DoNotOptimize(table.find(leases[at++ % leases.size()].index()));
}
BENCHMARK(find_index)->Arg(100)->Arg(200'000);

/// Every peer wakes every 25 seconds, as with persistent keepalives.
void wake(benchmark::State& state) {
  constexpr std::int64_t kBeat = 25'000'000'000;
  SeededRandom random(2);
  Deadlines deadlines;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    deadlines.wake_by(PeerId{static_cast<std::uint32_t>(i)},
                      {static_cast<std::int64_t>(random.below(kBeat))});
  }
  for (auto _ : state) {
    const base::Instant now = *deadlines.next();
    while (const auto due = deadlines.take_due(now)) deadlines.wake_by(*due, {now.ns + kBeat});
  }
}
BENCHMARK(wake)->Arg(100)->Arg(100'000);

}  // namespace
}  // namespace warren::wg
