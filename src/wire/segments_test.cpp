#include "wire/segments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/wire_test_support.hpp"

namespace warren::wire {
namespace {

std::vector<Buffer> cut(const Segments& segments) {
  std::vector<Buffer> out;
  for (std::size_t i = 0; i < segments.count(); ++i) {
    out.emplace_back(segments.size(i));
    segments.write(i, out.back());
  }
  return out;
}

std::vector<Buffer> twin_cut(const Spec& spec, std::size_t segment_size) {
  std::vector<Buffer> out;
  for (const Spec& piece : naive_cut(spec, segment_size)) out.push_back(build(piece).bytes);
  return out;
}

TEST(Segments, EqualTheTwinsOverRandomSuperPackets) {
  for (std::uint32_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Spec spec = random_spec(dice);
    const std::size_t segment_size = 1 + dice.below(dice.one_in(2) ? 20 : 1500);
    spec.payload = dice.bytes(1 + dice.below(segment_size * 6));
    Built super = build_super(spec);
    Offload offload = offload_of(spec, super, segment_size);
    offload.header_size = dice.u16();  // a hint is a hint
    const auto plain = spec.v6 ? spec.extensions.empty() : spec.ip_options.empty();
    if (plain && dice.one_in(4)) {
      offload.needs_checksum = false;
      set16(super.bytes, super.checksum_at(spec.tcp), dice.u16());
    }
    if (spec.layer == Layer::Frame && dice.one_in(4)) append(super.bytes, Buffer(5, 0x77));
    const auto segments = Segments::of(super.bytes, offload, spec.layer);
    ASSERT_TRUE(segments);
    ASSERT_EQ(cut(*segments), twin_cut(spec, segment_size));
  }
}

TEST(Segments, KnownBytesOfTwoUdpSegments) {
  // 10.0.0.1:1 → 10.0.0.2:2, "abcde" cut by three; written and summed by hand.
  Buffer super = {0x45, 0, 0, 33, 0, 7, 0, 0, 64, 17, 0, 0,   10,  0,   0,   1,  10,
                  0,    0, 2, 0,  1, 0, 2, 0, 13, 0,  0, 'a', 'b', 'c', 'd', 'e'};
  const Offload offload{.cut = Offload::Cut::Udp4, .segment_size = 3};
  const auto segments = Segments::of(super, offload, Layer::Packet);
  ASSERT_TRUE(segments);
  // IPv4: 4500+001f+0007+4011+0a00+0001+0a00+0002 = 993a, either way: ~993a = 66c5.
  // UDP: 0a00+0001+0a00+0002+0011+000b, 0001+0002+000b, 6162+6300 = d88f; with 000a, 6465: 7890.
  EXPECT_THAT(
      cut(*segments),
      testing::ElementsAre(Buffer{0x45, 0, 0, 31, 0, 7, 0, 0, 64, 17, 0x66, 0xc5, 10,  0,   0,  1,
                                  10,   0, 0, 2,  0, 1, 0, 2, 0,  11, 0x27, 0x70, 'a', 'b', 'c'},
                           Buffer{0x45, 0, 0, 30, 0, 8, 0, 0, 64, 17, 0x66, 0xc5, 10,  0,  0, 1,
                                  10,   0, 0, 2,  0, 1, 0, 2, 0,  10, 0x87, 0x6f, 'd', 'e'}));
}

TEST(Segments, FinPushAndCwrStayWhereTheKernelLeavesThem) {
  Spec spec;
  spec.flags = 0x80 | 0x40 | 0x10 | 0x08 | 0x01;  // CWR ECE ACK PSH FIN
  spec.sequence = 0xfffffff0;                     // wraps
  spec.id = 0xffff;
  spec.payload = Buffer(50, 1);
  const Built super = build_super(spec);
  const auto segments = Segments::of(super.bytes, offload_of(spec, super, 20), Layer::Packet);
  ASSERT_TRUE(segments);
  const auto pieces = cut(*segments);
  ASSERT_EQ(pieces.size(), 3U);
  EXPECT_EQ(pieces[0][33], 0x80 | 0x40 | 0x10);
  EXPECT_EQ(pieces[1][33], 0x40 | 0x10);
  EXPECT_EQ(pieces[2][33], 0x40 | 0x10 | 0x08 | 0x01);
  EXPECT_THAT(base::Bytes(pieces[1]).subspan(24, 4), testing::ElementsAre(0, 0, 0, 4));
  EXPECT_THAT(base::Bytes(pieces[1]).subspan(4, 2), testing::ElementsAre(0, 0));
  EXPECT_EQ(pieces[2].size(), 50U);
}

TEST(Segments, AWholePacketIsOneSegmentAsItIs) {
  Spec spec;
  spec.payload = Buffer(33, 4);
  const Buffer bytes = build(spec).bytes;
  const auto segments = Segments::of(bytes, {}, Layer::Packet);
  ASSERT_TRUE(segments);
  EXPECT_THAT(cut(*segments), testing::ElementsAre(bytes));
  const Buffer junk = {1, 2, 3};
  EXPECT_THAT(cut(*Segments::of(junk, {}, Layer::Packet)), testing::ElementsAre(junk));
  EXPECT_FALSE(Segments::of({}, {}, Layer::Packet));
}

TEST(Segments, AWholePacketsChecksumIsCompleted) {
  for (std::uint32_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Spec spec = random_spec(dice);
    spec.payload = dice.bytes(dice.below(1500));
    const Built built = build_super(spec);
    Offload offload = offload_of(spec, built, 0);
    offload.cut = Offload::Cut::None;
    const auto segments = Segments::of(built.bytes, offload, spec.layer);
    ASSERT_TRUE(segments);
    Buffer expected = build(spec).bytes;
    // As the kernel does: 0 becomes 0xffff for TCP too.
    if (expected[built.checksum_at(spec.tcp)] == 0 &&
        expected[built.checksum_at(spec.tcp) + 1] == 0) {
      set16(expected, built.checksum_at(spec.tcp), 0xffff);
    }
    ASSERT_THAT(cut(*segments), testing::ElementsAre(expected));
  }
}

TEST(Segments, ASumOfZeroGoesOutAsOnes) {
  Spec spec;
  spec.tcp = false;
  spec.payload = {0, 0};
  const Built probe = build(spec);
  // The payload that makes the sum 0xffff is the checksum itself.
  spec.payload = {probe.bytes[probe.checksum_at(false)], probe.bytes[probe.checksum_at(false) + 1]};
  const Built super = build_super(spec);
  const auto segments = Segments::of(super.bytes, offload_of(spec, super, 2), Layer::Packet);
  ASSERT_TRUE(segments);
  const auto pieces = cut(*segments);
  EXPECT_THAT(base::Bytes(pieces[0]).subspan(26, 2), testing::ElementsAre(0xff, 0xff));
  EXPECT_EQ(pieces[0], build(spec).bytes);
}

TEST(Segments, EveryTruncationIsRefused) {
  Dice dice(5);
  for (int i = 0; i < 60; ++i) {
    Spec spec = random_spec(dice);
    spec.payload = dice.bytes(40);
    const Built super = build_super(spec);
    const Offload offload = offload_of(spec, super, 16);
    for (std::size_t size = 0; size < super.bytes.size(); ++size) {
      const Buffer part(super.bytes.begin(),
                        super.bytes.begin() + static_cast<std::ptrdiff_t>(size));
      ASSERT_FALSE(Segments::of(part, offload, spec.layer)) << size;
    }
  }
}

TEST(Segments, WhatDoesNotFitTheOffloadIsRefused) {
  Spec spec;
  spec.payload = Buffer(40, 1);
  const auto taken = [](const Spec& from, auto change) {
    Built super = build_super(from);
    Offload offload = offload_of(from, super, 16);
    change(super, offload);
    return Segments::of(super.bytes, offload, from.layer).has_value();
  };
  EXPECT_TRUE(taken(spec, [](Built&, Offload&) {}));
  EXPECT_FALSE(taken(spec, [](Built&, Offload& o) { o.segment_size = 0; }));
  EXPECT_FALSE(taken(spec, [](Built&, Offload& o) { o.cut = Offload::Cut::Tcp6; }));
  EXPECT_FALSE(taken(spec, [](Built&, Offload& o) { o.cut = Offload::Cut::Udp4; }));
  EXPECT_FALSE(taken(spec, [](Built&, Offload& o) { ++o.checksum_start; }));
  EXPECT_FALSE(taken(spec, [](Built&, Offload& o) { o.checksum_offset = 6; }));
  EXPECT_FALSE(taken(spec, [](Built& b, Offload&) { b.bytes[32] = 0x40; }));  // data offset
  EXPECT_FALSE(taken(spec, [](Built& b, Offload&) { b.bytes[0] = 0x44; }));   // header length
  EXPECT_FALSE(taken(spec, [](Built& b, Offload&) { set16(b.bytes, 2, 0); }));
  EXPECT_FALSE(taken(spec, [](Built& b, Offload&) { set16(b.bytes, 6, 0x2000); }));
  const auto with_checksum = [](std::uint16_t start, std::uint16_t offset) {
    const Buffer bytes(20, 1);
    const Offload offload{
        .needs_checksum = true, .checksum_start = start, .checksum_offset = offset};
    return Segments::of(bytes, offload, Layer::Packet).has_value();
  };
  EXPECT_TRUE(with_checksum(10, 8));
  EXPECT_FALSE(with_checksum(10, 9));
  EXPECT_FALSE(with_checksum(10, 10));
  EXPECT_FALSE(with_checksum(0xffff, 0xfffe));

  spec.v6 = true;
  spec.extensions = {{43, 2}};  // where routed, only the kernel's sum knows the destination
  EXPECT_TRUE(taken(spec, [](Built&, Offload&) {}));
  EXPECT_FALSE(taken(spec, [](Built&, Offload& o) { o.needs_checksum = false; }));
  spec.extensions = {{44, 0}};
  EXPECT_FALSE(taken(spec, [](Built&, Offload&) {}));
}

}  // namespace
}  // namespace warren::wire
