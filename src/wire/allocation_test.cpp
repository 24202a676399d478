// The promise that cutting and coalescing allocate nothing once warm, checked by counting operator
// new in this program.
#include <gtest/gtest.h>

#include "base/counting_allocator.hpp"
#include "wire/coalescer.hpp"
#include "wire/segments.hpp"
#include "wire/wire_test_support.hpp"

namespace warren::wire {
namespace {

TEST(Allocation, CuttingAndCoalescingCostNoneOnceWarm) {
  Spec spec;
  spec.payload = Buffer(47 * 1368, 3);
  const Built super = build_super(spec);
  const Offload offload = offload_of(spec, super, 1368);
  std::vector<Buffer> buffers(47, Buffer(1500));
  Coalescer coalescer({});
  const auto round = [&] {
    const auto segments = Segments::of(super.bytes, offload, Layer::Packet);
    for (std::size_t i = 0; i < segments->count(); ++i) {
      const auto packet = base::MutableBytes(buffers[i]).first(segments->size(i));
      segments->write(i, packet);
      coalescer.add(packet);
    }
    coalescer.finish();
    const std::size_t packets = coalescer.result(0).packets;
    coalescer.clear();
    return packets;
  };
  EXPECT_EQ(round(), 47U);
  const std::size_t before = base::allocations;
  std::size_t packets = 0;
  for (int i = 0; i < 100; ++i) packets += round();
  const std::size_t during = base::allocations - before;
  EXPECT_EQ(packets, 4700U);
  EXPECT_EQ(during, 0U);
  EXPECT_GT(before, 0U);  // the count counts
}

}  // namespace
}  // namespace warren::wire
