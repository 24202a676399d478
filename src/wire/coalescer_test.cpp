#include "wire/coalescer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/coalescer_twin.hpp"
#include "wire/segments.hpp"
#include "wire/wire_test_support.hpp"

namespace warren::wire {
namespace {

// --- comparing ---

Buffer joined(const Coalesced& result) {
  Buffer out;
  for (const base::Bytes piece : result.pieces) out.insert(out.end(), piece.begin(), piece.end());
  return out;
}

void expect_cut_back(const Coalesced& result, const std::vector<Sent>& packets, const Group& group,
                     Layer layer) {
  const Buffer bytes = joined(result);
  const auto segments = Segments::of(bytes, result.offload, layer);
  ASSERT_TRUE(segments);
  ASSERT_EQ(segments->count(), group.size());
  const Spec& first = packets[group.front()].spec;
  for (std::size_t i = 0; i < group.size(); ++i) {
    Buffer piece(segments->size(i));
    segments->write(i, piece);
    Buffer expected = packets[group[i]].bytes;
    if (!first.v6 && packets[group[1]].spec.id == first.id) {  // constant: counted up instead
      Spec counted = packets[group[i]].spec;
      counted.id = static_cast<std::uint16_t>(first.id + i);
      expected = build(counted).bytes;
    }
    ASSERT_EQ(piece, expected) << "packet " << group[i];
  }
}

void expect_like_twin(Coalescer& coalescer, CoalesceOptions options,
                      const std::vector<Sent>& packets) {
  std::vector<Buffer> buffers;
  for (const Sent& packet : packets) buffers.push_back(packet.bytes);
  coalescer.clear();
  for (Buffer& buffer : buffers) coalescer.add(buffer);
  coalescer.finish();
  Twin twin(options, packets);
  const std::vector<Group> groups = twin.run();
  ASSERT_EQ(coalescer.result_count(), groups.size());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "result " << i);
    const Coalesced result = coalescer.result(i);
    ASSERT_EQ(result.packets, groups[i].size());
    ASSERT_EQ(result.pieces.size(), groups[i].size());
    ASSERT_EQ(result.bytes, joined(result).size());
    if (result.packets == 1) {
      ASSERT_EQ(result.offload, Offload{});
      ASSERT_EQ(joined(result), packets[groups[i].front()].bytes);
      continue;
    }
    const Spec merged = twin.merged(groups[i]);
    const Built super = build_super(merged);
    ASSERT_EQ(joined(result), super.bytes);
    const std::size_t size = packets[groups[i].front()].spec.payload.size();
    ASSERT_EQ(result.offload, offload_of(merged, super, size));
    ASSERT_NO_FATAL_FAILURE(expect_cut_back(result, packets, groups[i], options.layer));
  }
}

// --- random traffic ---

/// One flow that mostly behaves.
class Talker {
 public:
  Talker(Dice& dice, Layer layer, std::size_t segment_size) : segment_size_(segment_size) {
    next_ = random_spec(dice);
    next_.layer = layer;
    if (layer == Layer::Packet) next_.tags = 0;
    next_.source = static_cast<std::uint8_t>(dice.below(2));  // few addresses: fragments meet flows
    next_.destination = static_cast<std::uint8_t>(dice.below(2));
    next_.final_destination = 0;
    next_.ip_options.clear();
    next_.extensions.clear();
    next_.reserved = 0;
    next_.flags = 0x10;
    constant_id_ = dice.one_in(4);
  }

  Sent say(Dice& dice, std::size_t odd_one_in) {
    next_.payload = dice.bytes(segment_size_);
    Sent packet{next_, {}};
    const bool odd = dice.one_in(odd_one_in);
    if (odd) disturb(dice, packet.spec);
    packet.bytes = build(packet.spec).bytes;
    if (odd && dice.one_in(2)) damage(dice, packet);
    next_.sequence += static_cast<std::uint32_t>(packet.spec.payload.size());
    if (!constant_id_) next_.id = static_cast<std::uint16_t>(packet.spec.id + 1);
    return packet;
  }

 private:
  void disturb(Dice& dice, Spec& spec) {
    const std::uint8_t flags[] = {0x18, 0x11, 0x02, 0x00, 0x50, 0x90, 0x30, 0x14};
    switch (dice.below(20)) {
      case 0:
        spec.hop_limit ^= 1;
        break;
      case 1:
        spec.traffic_class ^= static_cast<std::uint8_t>(1 << dice.below(8));
        break;
      case 2:
        spec.flow_label ^= 1;
        break;
      case 3:
        spec.fragment ^= 0x4000;
        break;
      case 4:
        spec.id = static_cast<std::uint16_t>(spec.id + dice.below(4) - 1);
        break;
      case 5:
        spec.sequence += static_cast<std::uint32_t>(dice.below(3) - 1);
        break;
      case 6:
        spec.payload.resize(dice.below(segment_size_ + 1));
        break;
      case 7:
        spec.payload.resize(segment_size_ + 1 + dice.below(9), 3);
        break;
      case 8:
        spec.payload.clear();
        break;
      case 9:
      case 10:
        spec.flags = flags[dice.below(8)];
        break;
      case 11:
        next_.acknowledgement = ++spec.acknowledgement;
        break;
      case 12:
        next_.window = ++spec.window;
        break;
      case 13:
        spec.urgent ^= 1;
        break;
      case 14:
        next_.tcp_options = spec.tcp_options = dice.bytes(dice.below(4) * 4);
        break;
      case 15:
        spec.ip_options = dice.bytes(4);
        break;
      case 16:
        spec.extensions = {{static_cast<std::uint8_t>(dice.one_in(2) ? 0 : 60), 0}};
        break;
      case 17:
        fragment(dice, spec);
        break;
      case 18:
        spec.udp_checksum = false;
        break;
      default:
        spec.reserved = static_cast<std::uint8_t>(dice.below(16));
    }
  }
  static void fragment(Dice& dice, Spec& spec) {
    spec.extensions = {{44, 0}};
    spec.fragment = static_cast<std::uint16_t>(dice.one_in(2) ? 0x2000 : 1 + dice.below(0x1fff));
  }
  /// What the description does not tell.
  static void damage(Dice& dice, Sent& packet) {
    const Built built = build(packet.spec);
    const std::size_t checksum_at = built.checksum_at(packet.spec.tcp);
    switch (dice.below(5)) {
      case 0:
        packet.bytes.back() ^= 0x10;
        break;
      case 1:
        packet.bytes[checksum_at + 1] ^= 1;
        break;
      case 2:
        if (!packet.spec.v6) packet.bytes[built.network + 10] ^= 1;
        break;
      case 3:  // sums up, but nobody writes it
        if (!packet.spec.v6) set16(packet.bytes, built.network + 10, 0xffff);
        break;
      default:
        packet.trailing = true;
        append(packet.bytes, Buffer(1 + dice.below(20), 0));
    }
  }

  Spec next_;
  std::size_t segment_size_;
  bool constant_id_;
};

TEST(Coalescer, EqualsTheTwinOverRandomTraffic) {
  for (std::uint32_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    CoalesceOptions options{.layer = dice.one_in(2) ? Layer::Frame : Layer::Packet};
    if (dice.one_in(4)) {
      options.tcp4 = dice.one_in(2);
      options.tcp6 = dice.one_in(2);
      options.udp4 = dice.one_in(2);
      options.udp6 = dice.one_in(2);
    }
    Coalescer coalescer(options);
    std::vector<Talker> talkers;
    for (std::size_t i = 1 + dice.below(5); i > 0; --i) {
      talkers.emplace_back(dice, options.layer, 1 + dice.below(dice.one_in(16) ? 1460 : 30));
    }
    const std::size_t odd_one_in = 1 + dice.below(30);
    for (int batch = 0; batch < 2; ++batch) {
      std::vector<Sent> packets;
      for (std::size_t i = dice.below(100); i > 0; --i) {
        // Runs of one flow, as in trains.
        Talker& talker = talkers[dice.below(talkers.size())];
        for (std::size_t run = 1 + dice.below(6); run > 0; --run) {
          packets.push_back(talker.say(dice, odd_one_in));
        }
      }
      ASSERT_NO_FATAL_FAILURE(expect_like_twin(coalescer, options, packets));
    }
  }
}

TEST(Coalescer, EqualsTheTwinWithMoreFlowsThanItKeepsOpen) {
  for (std::uint32_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Coalescer coalescer({});
    std::vector<Talker> talkers;
    for (std::size_t i = 25 + dice.below(20); i > 0; --i) {
      talkers.emplace_back(dice, Layer::Packet, 1 + dice.below(30));
    }
    std::vector<Sent> packets;
    for (int i = 0; i < 400; ++i) {
      packets.push_back(talkers[dice.below(talkers.size())].say(dice, 1U << 30));
    }
    ASSERT_NO_FATAL_FAILURE(expect_like_twin(coalescer, {}, packets));
  }
}

TEST(Coalescer, StaysWithinItsBounds) {
  Dice dice(1);
  for (const std::size_t size : {100U, 1000U, 1368U, 8900U, 32700U}) {
    Coalescer coalescer({});
    Talker talker(dice, Layer::Packet, size);
    std::vector<Sent> packets;
    for (int i = 0; i < 150; ++i) packets.push_back(talker.say(dice, 1U << 30));
    ASSERT_NO_FATAL_FAILURE(expect_like_twin(coalescer, {}, packets));
  }
}

// --- by hand ---

TEST(Coalescer, KnownBytesOfTwoUdpDatagrams) {
  Buffer first = {0x45, 0, 0, 31, 0, 7, 0, 0, 64, 17, 0x66, 0xc5, 10,  0,   0,  1,
                  10,   0, 0, 2,  0, 1, 0, 2, 0,  11, 0x27, 0x70, 'a', 'b', 'c'};
  Buffer second = {0x45, 0,  0, 30, 0, 8, 0, 0, 64, 17, 0x66, 0xc5, 10,   0,   0,
                   1,    10, 0, 0,  2, 0, 1, 0, 2,  0,  10,   0x87, 0x6f, 'd', 'e'};
  Coalescer coalescer({});
  coalescer.add(first);
  coalescer.add(second);
  coalescer.finish();
  ASSERT_EQ(coalescer.result_count(), 1U);
  // 4500+0021+0007+4011+0a00+0001+0a00+0002 = 993c; 0a00+0001+0a00+0002+0011+000d = 1421.
  EXPECT_EQ(joined(coalescer.result(0)),
            (Buffer{0x45, 0, 0, 33, 0, 7, 0, 0, 64, 17,   0x66, 0xc3, 10,  0,   0,   1,  10,
                    0,    0, 2, 0,  1, 0, 2, 0, 13, 0x14, 0x21, 'a',  'b', 'c', 'd', 'e'}));
  const Offload expected{.cut = Offload::Cut::Udp4,
                         .needs_checksum = true,
                         .header_size = 28,
                         .segment_size = 3,
                         .checksum_start = 20,
                         .checksum_offset = 6};
  EXPECT_EQ(coalescer.result(0).offload, expected);
}

/// How many packets came together in each result.
std::vector<std::size_t> counts(std::vector<Buffer> buffers, Layer layer) {
  Coalescer coalescer({.layer = layer});
  for (Buffer& buffer : buffers) coalescer.add(buffer);
  coalescer.finish();
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < coalescer.result_count(); ++i) {
    out.push_back(coalescer.result(i).packets);
  }
  return out;
}
std::vector<std::size_t> counts(const std::vector<Spec>& specs) {
  std::vector<Buffer> buffers;
  for (const Spec& spec : specs) buffers.push_back(build(spec).bytes);
  return counts(std::move(buffers), specs.front().layer);
}

std::vector<Spec> train(std::size_t count) {
  Spec spec;
  spec.payload = Buffer(count * 10, 5);
  return naive_cut(spec, 10);
}

TEST(Coalescer, APureAcknowledgementLeavesOtherFlowsOpen) {
  auto specs = train(3);
  Spec ack;
  ack.source_port = 7;
  specs.insert(specs.begin() + 2, ack);
  EXPECT_THAT(counts(specs), testing::ElementsAre(3, 1));
  specs[2].source_port = specs[0].source_port;  // of the flow: the order holds
  EXPECT_THAT(counts(specs), testing::ElementsAre(2, 1, 1));
}

TEST(Coalescer, IdentificationsCountUpOrAreConstantWhereAtomic) {
  const auto with_ids = [](std::uint16_t fragment, std::vector<std::uint16_t> ids) {
    auto specs = train(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      specs[i].id = ids[i];
      specs[i].fragment = fragment;
    }
    return counts(specs);
  };
  EXPECT_THAT(with_ids(0, {0xfffe, 0xffff, 0}), testing::ElementsAre(3));
  EXPECT_THAT(with_ids(0, {5, 5, 5}), testing::ElementsAre(1, 1, 1));
  EXPECT_THAT(with_ids(0x4000, {5, 5, 5}), testing::ElementsAre(3));
  EXPECT_THAT(with_ids(0x4000, {5, 6, 7}), testing::ElementsAre(3));
  EXPECT_THAT(with_ids(0x4000, {5, 5, 6}), testing::ElementsAre(2, 1));
  EXPECT_THAT(with_ids(0x4000, {5, 6, 6}), testing::ElementsAre(2, 1));
  EXPECT_THAT(with_ids(0x4000, {5, 7, 9}), testing::ElementsAre(1, 1, 1));
}

TEST(Coalescer, PushEndsASuperPacketAndStaysInIt) {
  auto specs = train(4);
  specs[1].flags = 0x18;
  EXPECT_THAT(counts(specs), testing::ElementsAre(2, 2));
  specs[0].flags = 0x18;
  EXPECT_THAT(counts(specs), testing::ElementsAre(1, 1, 2));
}

TEST(Coalescer, TheSameAddressesBehindOtherTagsAreAnotherFlow) {
  auto specs = train(2);
  for (Spec& spec : specs) spec.layer = Layer::Frame;
  specs.insert(specs.begin() + 1, specs.front());
  specs.push_back(specs.back());
  EXPECT_THAT(counts(specs), testing::ElementsAre(1, 2, 1));  // sent twice each: the flow's order
  specs[1].tags = specs[3].tags = 1;
  EXPECT_THAT(counts(specs), testing::ElementsAre(2, 2));
}

TEST(Coalescer, ReservedBitsOfTcpAreLeftAlone) {
  auto specs = train(3);
  for (Spec& spec : specs) spec.reserved = 1;
  EXPECT_THAT(counts(specs), testing::ElementsAre(1, 1, 1));
}

/// Packets whose payload makes the checksum 0 (TCP) or 0xffff (UDP), all but in the sum.
std::vector<Buffer> train_of_zero_sums(bool tcp, std::uint16_t written) {
  std::vector<Buffer> out;
  for (Spec& spec : train(3)) {
    spec.tcp = tcp;
    spec.payload = {0, 0};
    spec.sequence = static_cast<std::uint32_t>(1 + 2 * out.size());
    const Built probe = build(spec);
    const std::size_t at = probe.checksum_at(tcp);
    spec.payload = {probe.bytes[at], probe.bytes[at + 1]};
    Buffer bytes = build(spec).bytes;
    EXPECT_EQ(bytes[at], tcp ? 0 : 0xff);
    EXPECT_EQ(bytes[at + 1], tcp ? 0 : 0xff);
    set16(bytes, at, written);
    out.push_back(bytes);
  }
  return out;
}

TEST(Coalescer, ASumThatCuttingWouldWriteOtherwiseIsNotMerged) {
  EXPECT_THAT(counts(train_of_zero_sums(true, 0), Layer::Packet), testing::ElementsAre(3));
  EXPECT_THAT(counts(train_of_zero_sums(true, 0xffff), Layer::Packet),
              testing::ElementsAre(1, 1, 1));
  EXPECT_THAT(counts(train_of_zero_sums(false, 0xffff), Layer::Packet), testing::ElementsAre(3));
  EXPECT_THAT(counts(train_of_zero_sums(false, 0), Layer::Packet), testing::ElementsAre(1, 1, 1));
}

TEST(Coalescer, JunkGoesThroughAsItIs) {
  Coalescer coalescer({.layer = Layer::Frame});
  Dice dice(9);
  std::vector<Buffer> junk;
  for (std::size_t i = 0; i < 200; ++i) junk.push_back(dice.bytes(dice.below(80)));
  const auto before = junk;
  for (Buffer& bytes : junk) coalescer.add(bytes);
  coalescer.finish();
  ASSERT_EQ(coalescer.result_count(), junk.size());
  for (std::size_t i = 0; i < junk.size(); ++i) {
    EXPECT_EQ(joined(coalescer.result(i)), before[i]);
    EXPECT_EQ(coalescer.result(i).offload, Offload{});
  }
}

}  // namespace
}  // namespace warren::wire
