// What cutting, coalescing and the checksum cost per packet: 47 segments of 1368 bytes make one
// super-packet of TCP over a tun of 1420 bytes with timestamps.
#include <benchmark/benchmark.h>

#include <vector>

#include "wire/coalescer.hpp"
#include "wire/segments.hpp"
#include "wire/wire_test_support.hpp"

namespace warren::wire {
namespace {

constexpr std::size_t kSegments = 47;
constexpr std::size_t kSegmentSize = 1368;

Spec full_spec(std::uint16_t port, std::size_t segments = kSegments) {
  Spec spec;
  spec.source_port = port;
  spec.tcp_options = Buffer(12, 1);
  spec.payload = Buffer(segments * kSegmentSize, 0x5a);
  return spec;
}

void count_packets(benchmark::State& state, std::size_t per_iteration) {
  state.counters["per_packet"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(per_iteration),
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void checksum(benchmark::State& state) {
  const auto width = static_cast<VectorWidth>(state.range(1));
  if (!available(width)) return state.SkipWithError("this processor has no such vectors");
  const Buffer bytes(static_cast<std::size_t>(state.range(0)), 0x5a);
  for (auto _ : state) benchmark::DoNotOptimize(sum_bytes(bytes, width));
}
BENCHMARK(checksum)->ArgNames({"bytes", "width"})->ArgsProduct({{20, 64, 1400, 65535}, {0, 1, 2}});

void copying_checksum(benchmark::State& state) {
  const auto width = static_cast<VectorWidth>(state.range(1));
  if (!available(width)) return state.SkipWithError("this processor has no such vectors");
  const Buffer bytes(static_cast<std::size_t>(state.range(0)), 0x5a);
  Buffer out(bytes.size());
  for (auto _ : state) {
    benchmark::DoNotOptimize(copy_and_sum(bytes, out.data(), width));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(copying_checksum)->ArgNames({"bytes", "width"})->ArgsProduct({{64, 1400}, {0, 1, 2}});

/// The other way: memcpy, then a pass for the sum.
void copy_then_checksum(benchmark::State& state) {
  const Buffer bytes(1400, 0x5a);
  Buffer out(bytes.size());
  for (auto _ : state) {
    std::memcpy(out.data(), bytes.data(), bytes.size());
    benchmark::ClobberMemory();
    benchmark::DoNotOptimize(sum_bytes(out));
  }
}
BENCHMARK(copy_then_checksum);

void cut(benchmark::State& state) {
  const Spec spec = full_spec(1);
  const Built super = build_super(spec);
  const Offload offload = offload_of(spec, super, kSegmentSize);
  std::vector<Buffer> out(kSegments, Buffer(1500));
  for (auto _ : state) {
    const auto segments = Segments::of(super.bytes, offload, Layer::Packet);
    for (std::size_t i = 0; i < segments->count(); ++i) {
      segments->write(i, base::MutableBytes(out[i]).first(segments->size(i)));
    }
    benchmark::ClobberMemory();
  }
  count_packets(state, kSegments);
}
BENCHMARK(cut);

/// Coalesces the packets of `flows` flows in turns. complete() changes the first packet of each
/// super-packet; it is put back from a copy, outside of what matters (one packet in 47).
void coalesce(benchmark::State& state) {
  const auto flows = static_cast<std::size_t>(state.range(0));
  std::vector<Buffer> packets;
  for (std::size_t i = 0; i < kSegments; ++i) {
    for (std::size_t flow = 0; flow < flows; ++flow) {
      const Spec spec = full_spec(static_cast<std::uint16_t>(1000 + flow), 1);
      Spec next = spec;
      next.id = static_cast<std::uint16_t>(spec.id + i);
      next.sequence += static_cast<std::uint32_t>(i * kSegmentSize);
      packets.push_back(build(next).bytes);
    }
  }
  const std::vector<Buffer> first(packets.begin(),
                                  packets.begin() + static_cast<std::ptrdiff_t>(flows));
  Coalescer coalescer({});
  for (auto _ : state) {
    for (std::size_t flow = 0; flow < flows; ++flow) {
      std::memcpy(packets[flow].data(), first[flow].data(), 60);
    }
    for (Buffer& packet : packets) coalescer.add(packet);
    coalescer.finish();
    if (coalescer.result_count() != flows) state.SkipWithError("not coalesced");
    coalescer.clear();
  }
  count_packets(state, packets.size());
}
BENCHMARK(coalesce)->ArgName("flows")->Arg(1)->Arg(8)->Arg(32);

/// Pure acknowledgements of eight flows: nothing to merge.
void acknowledgements(benchmark::State& state) {
  std::vector<Buffer> packets;
  for (std::size_t i = 0; i < 64; ++i) {
    Spec spec = full_spec(static_cast<std::uint16_t>(1000 + i % 8), 0);
    packets.push_back(build(spec).bytes);
  }
  Coalescer coalescer({});
  for (auto _ : state) {
    for (Buffer& packet : packets) coalescer.add(packet);
    coalescer.finish();
    benchmark::DoNotOptimize(coalescer.result(0));
    coalescer.clear();
  }
  count_packets(state, packets.size());
}
BENCHMARK(acknowledgements);

}  // namespace
}  // namespace warren::wire
