// The steps of a batch, and what may happen between them.
#include "node/batch.hpp"

#include <gtest/gtest.h>

#include "node/batch_test_support.hpp"
#include "wg/limits.hpp"

namespace warren::node {
namespace {

using namespace std::chrono_literals;
using Packets = std::vector<std::vector<std::uint8_t>>;

TEST(Batch, ASuperPacketLeavesAsOneTrainAndArrivesInPieces) {
  for (const std::string_view net : {"10.0.0.", "fd00::"}) {
    Linked world({}, std::string(net) + "1", std::string(net) + "2");
    const SuperPacket packet = tcp_super_packet(world.a.inner, world.b.inner, 40000, 1360, 2);
    world.worker.add(packet.bytes, packet.offload);
    world.plan(world.worker);
    world.worker.out.seal();
    ASSERT_EQ(world.worker.out.trains().size(), 1U);
    const Datagram& train = world.worker.out.trains()[0];
    EXPECT_EQ(datagrams_of(train).size(), 30U);
    EXPECT_EQ(train.traffic_class, 2);
    EXPECT_EQ(train.remote, world.b.endpoint);
    world.carry(world.worker, world.other);
    EXPECT_EQ(receive(world.b, world.other, world), cut(packet));
    EXPECT_EQ(world.a.drops() + world.b.drops(), 0U);
    EXPECT_EQ(world.worker.pool.in_use() + world.other.pool.in_use(), 0U);
  }
}

TEST(Batch, APacketAloneIsSealedWhereItLies) {
  Linked world;
  const auto inner = ip_packet(world.a.inner, world.b.inner, "ping");
  wire::Packet packet = world.worker.pool.copy_of(inner);
  const std::uint8_t* const place = packet.bytes().data();
  world.worker.out.add(std::move(packet), {});
  world.plan(world.worker);
  world.worker.out.seal();
  ASSERT_EQ(world.worker.out.trains().size(), 1U);
  const Datagram& train = world.worker.out.trains()[0];
  EXPECT_EQ(train.packet.bytes().data() + wg::kTransportHeaderSize, place);
  EXPECT_EQ(train.segment_size, 0);
  EXPECT_EQ(world.worker.pool.in_use(), 1U);
  world.carry(world.worker, world.other);
  EXPECT_EQ(receive(world.b, world.other, world), Packets{inner});
}

TEST(Batch, ATrainEndsWithAShorterDatagramOrAnotherClass) {
  Linked world;
  Packets sent;
  const auto add = [&](std::size_t size, std::uint8_t traffic_class) {
    sent.push_back(
        ip_packet(world.a.inner, world.b.inner, std::string(size - 20, 'x'), traffic_class));
    world.worker.add(sent.back());
  };
  for (const std::size_t size : {96U, 96U, 64U, 64U, 96U, 100U}) add(size, 0);
  add(100, 1);
  add(100, 0);
  world.plan(world.worker);
  world.worker.out.seal();
  std::vector<std::vector<std::size_t>> sizes;
  for (const Datagram& train : world.worker.out.trains()) {
    sizes.emplace_back();
    for (const auto& one : datagrams_of(train)) {
      sizes.back().push_back(one.size() - wg::kTransportOverhead);
    }
  }
  const std::vector<std::vector<std::size_t>> expected{{96, 96, 64}, {64},  {96},
                                                       {112},        {112}, {112}};
  EXPECT_EQ(sizes, expected);
  EXPECT_EQ(world.worker.out.trains()[4].traffic_class, 1);
  world.carry(world.worker, world.other);
  EXPECT_EQ(receive(world.b, world.other, world), sent);
}

TEST(Batch, ATrainHasAtMostSixtyFourDatagramsAndWhatASlotHolds) {
  Linked world;
  const SuperPacket packet = tcp_super_packet(world.a.inner, world.b.inner, 60000, 500);
  world.worker.add(packet.bytes, packet.offload);
  world.plan(world.worker);
  world.worker.out.seal();
  ASSERT_EQ(world.worker.out.trains().size(), 2U);
  EXPECT_EQ(datagrams_of(world.worker.out.trains()[0]).size(), kMaxTrainSegments);
  world.worker.out.clear();

  Worker small(2048, 16);
  const SuperPacket few = tcp_super_packet(world.a.inner, world.b.inner, 1900, 500);
  small.add(few.bytes, few.offload);
  world.plan(small);
  small.out.seal();
  for (const Datagram& train : small.out.trains()) EXPECT_LE(train.packet.size(), 2048U + 64U);
  world.carry(small, world.other);
  EXPECT_EQ(receive(world.b, world.other, world), cut(few));
  small.out.set_max_segments(1);
  small.add(few.bytes, few.offload);
  world.plan(small);
  small.out.seal();
  EXPECT_EQ(small.out.trains().size(), 4U);
}

TEST(Batch, WhatFindsNoSlotIsCountedAsLost) {
  Linked world;
  Worker small(2048, 2);
  const SuperPacket packet = tcp_super_packet(world.a.inner, world.b.inner, 2000, 300);
  small.add(packet.bytes, packet.offload);
  world.plan(small);
  small.out.seal();
  ASSERT_EQ(small.out.trains().size(), 1U);
  const std::size_t sent = datagrams_of(small.out.trains()[0]).size();
  EXPECT_EQ(small.out.take_lost(), 7U - sent);
  EXPECT_EQ(small.out.take_lost(), 0U);
  world.carry(small, world.other);
  EXPECT_EQ(receive(world.b, world.other, world).size(), sent);
}

TEST(Batch, MorePeersThanOpenTrainsKeepTheirOrder) {
  World world;
  Host& a = world.add("10.0.0.1", "192.0.2.1:51820");
  std::vector<Host*> others;
  for (int i = 0; i < 40; ++i) {
    const std::string last = std::to_string(2 + i);
    others.push_back(&world.add("10.0.0." + last, "192.0.2." + last + ":51820"));
    world.connect(a, *others.back());
    a.send(*others.back(), "start");
  }
  world.settle();
  Worker worker(4096, 512);
  Worker receiver;
  for (int round = 0; round < 5; ++round) {
    for (const Host* other : others) {
      worker.add(ip_packet(a.inner, other->inner, std::to_string(round)));
    }
  }
  a.node.plan(worker.out, world.now, world.wall);
  EXPECT_EQ(worker.out.held_keys(), 200U);
  worker.out.seal();
  for (Host* other : others) {
    for (const Datagram& train : worker.out.trains()) {
      if (train.remote == other->endpoint) receiver.add(train);
    }
    const Packets got = receive(*other, receiver, world);
    ASSERT_EQ(got.size(), 5U);
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].back(), '0' + i);
  }
  worker.out.clear();
  EXPECT_EQ(worker.out.held_keys(), 0U);
}

TEST(Batch, AsManyPeersAsPacketsNeedOneSlotMore) {
  World world;
  Host& a = world.add("10.0.0.1", "192.0.2.1:51820");
  Worker worker(4096, 64 + 1);
  for (int i = 0; i < 64; ++i) {
    const std::string last = std::to_string(2 + i);
    Host& other = world.add("10.0.0." + last, "192.0.2." + last + ":51820");
    world.connect(a, other);
    a.send(other, "start");
    worker.add(ip_packet(a.inner, other.inner, "to each"));
  }
  world.settle();
  a.node.plan(worker.out, world.now, world.wall);
  worker.out.seal();
  EXPECT_EQ(worker.out.take_lost(), 0U);
  EXPECT_EQ(worker.out.trains().size(), 64U);
  worker.out.clear();
}

TEST(Batch, WhatWaitsForHandshakesLeavesTheWorkersSlots) {
  World world;
  Host& a = world.add("10.0.0.1", "192.0.2.1:51820");
  Worker worker(4096, 3);
  for (int i = 0; i < 2; ++i) {
    const std::string last = std::to_string(2 + i);
    Host& other = world.add("10.0.0." + last, "192.0.2." + last + ":51820");
    world.connect(a, other);
    worker.add(ip_packet(a.inner, other.inner, "first words"));
  }
  worker.add(ip_packet(a.inner, *base::IpAddress::parse("10.9.9.9"), "to nobody"));
  a.node.plan(worker.out, world.now, world.wall);
  EXPECT_EQ(worker.pool.in_use(), 0U);
  EXPECT_EQ(a.drops(), a.drops(Drop::NoRoute));
  worker.out.seal();
  EXPECT_TRUE(worker.out.trains().empty());
  worker.out.clear();
  world.settle();
  for (std::size_t i = 1; i < 3; ++i) EXPECT_EQ(world.hosts[i]->received.at(0), "first words");
}

/// Whichever worker sends: the peer knows, not the worker.
TEST(Batch, AnAnswerLeavesFromWhereTheLastAuthenticMessageCameTo) {
  Linked world;
  const auto here = [](std::string_view text) {
    return base::LocalAddress{.address = *base::IpAddress::parse(text), .known = true};
  };
  const auto answer = [&] {
    Worker third;
    third.add(ip_packet(world.b.inner, world.a.inner, "answer"));
    world.b.node.plan(third.out, world.now, world.wall);
    third.out.seal();
    const base::LocalAddress local = third.out.trains()[0].local;
    third.out.clear();
    return local;
  };
  const auto hear = [&](std::string_view at, bool forged) {
    world.worker.add(ip_packet(world.a.inner, world.b.inner, "question"));
    world.plan(world.worker);
    world.worker.out.seal();
    Datagram& sent = world.worker.out.trains()[0];
    sent.remote = world.a.endpoint;
    sent.local = here(at);
    if (forged) sent.packet.bytes().back() ^= 1;
    world.other.add(sent);
    world.worker.out.clear();
    receive(world.b, world.other, world);
  };
  EXPECT_FALSE(answer().known);
  hear("198.51.100.7", false);
  EXPECT_EQ(answer(), here("198.51.100.7"));
  hear("198.51.100.8", true);
  EXPECT_EQ(answer(), here("198.51.100.7"));
  hear("198.51.100.9", false);
  EXPECT_EQ(answer(), here("198.51.100.9"));
  world.b.node.handle_network_change(world.now);
  EXPECT_FALSE(answer().known);
}

TEST(Batch, APeerRemovedBetweenPlanAndSealLeavesItsKeyToTheBatchAlone) {
  Linked world;
  const auto inner = ip_packet(world.a.inner, world.b.inner, "last words");
  world.worker.add(inner);
  world.plan(world.worker);
  world.a.node.remove_all_peers();
  EXPECT_EQ(world.worker.out.held_keys(), 1U);
  world.worker.out.seal();
  world.carry(world.worker, world.other);
  EXPECT_EQ(world.worker.out.held_keys(), 0U);
  EXPECT_EQ(receive(world.b, world.other, world), Packets{inner});
  world.worker.add(inner);
  world.plan(world.worker);
  EXPECT_EQ(world.a.drops(Drop::NoRoute), 1U);
  world.worker.out.seal();
  EXPECT_TRUE(world.worker.out.trains().empty());
}

TEST(Batch, APeerRemovedBetweenIdentifyAndAcceptIsNotHeard) {
  for (const bool comes_back : {false, true}) {
    Linked world;
    for (int i = 0; i < 3; ++i) world.worker.add(ip_packet(world.a.inner, world.b.inner, "late"));
    world.plan(world.worker);
    world.worker.out.seal();
    world.carry(world.worker, world.other);
    world.b.node.identify(world.other.in, world.now, world.wall);
    EXPECT_EQ(world.other.in.held_keys(), 1U);
    ASSERT_TRUE(world.b.node.update_peer({.public_key = world.a.key(), .remove = true}, world.now));
    if (comes_back) world.connect(world.a, world.b);
    world.other.in.open();
    world.b.node.accept(world.other.in, world.now, world.wall);
    EXPECT_TRUE(world.other.in.packets().empty());
    EXPECT_EQ(world.b.drops(Drop::UnknownIndex), 3U);
    world.other.in.clear();
    EXPECT_EQ(world.other.in.held_keys(), 0U);
    EXPECT_EQ(world.b.status_of(world.a.key()).rx_bytes, 0U);
  }
}

TEST(Batch, ARekeyInTheMiddleOfABatchLosesNothing) {
  Linked world;
  const auto before = ip_packet(world.a.inner, world.b.inner, "old key");
  const auto after = ip_packet(world.a.inner, world.b.inner, "new key");
  Worker late;
  late.add(before);
  world.plan(late);
  world.pass(130s);  // the initiator's next packet begins a new session
  world.a.send(world.b, "renew");
  world.settle();
  ASSERT_EQ(world.a.node.counters().handshakes_completed, 2U);
  world.worker.add(after);
  world.plan(world.worker);
  world.worker.out.seal();
  late.out.seal();
  // Both in one train of the network's making, the new one first.
  world.carry(world.worker, world.other);
  world.carry(late, world.other);
  EXPECT_EQ(receive(world.b, world.other, world), (Packets{after, before}));
}

TEST(Batch, NoCounterIsSealedTwiceByTwoWorkers) {
  Linked world;
  Worker second;
  std::set<std::pair<wg::Index, std::uint64_t>> sealed;
  std::size_t count = 0;
  const auto collect = [&](Worker& worker) {
    worker.out.seal();
    worker.out.seal();  // once more does nothing
    for (const Datagram& train : worker.out.trains()) {
      for (const auto& one : datagrams_of(train)) {
        const auto header = wg::parse_transport(one);
        ASSERT_TRUE(header);
        EXPECT_TRUE(sealed.emplace(header->receiver, header->counter).second);
        ++count;
      }
    }
    worker.out.clear();
  };
  for (int round = 0; round < 50; ++round) {
    for (Worker* worker : {&world.worker, &second}) {
      const SuperPacket packet =
          tcp_super_packet(world.a.inner, world.b.inner, static_cast<std::size_t>(100 + round * 97),
                           static_cast<std::uint16_t>(100 + round));
      worker->add(packet.bytes, packet.offload);
      worker->add(ip_packet(world.a.inner, world.b.inner, "single"));
      world.plan(*worker);
    }
    collect(round % 2 == 0 ? second : world.worker);
    collect(round % 2 == 0 ? world.worker : second);
    if (round == 25) {
      world.pass(130s);
      world.a.send(world.b, "renew");
      world.settle();
    }
  }
  EXPECT_EQ(sealed.size(), count);
  EXPECT_GT(count, 1000U);
}

TEST(Batch, AReplayIsRefusedWithinATrainAndBetweenWorkers) {
  Linked world;
  const SuperPacket packet = tcp_super_packet(world.a.inner, world.b.inner, 3000, 1000);
  world.worker.add(packet.bytes, packet.offload);
  world.plan(world.worker);
  world.worker.out.seal();
  Datagram& train = world.worker.out.trains()[0];
  train.remote = world.a.endpoint;
  // The second datagram once more behind the third.
  const auto second = datagrams_of(train)[1];
  train.packet.push_back(second.size());
  std::ranges::copy(second, train.packet.bytes().last(second.size()).begin());
  Worker rival;
  rival.add(train);
  world.other.add(train);
  for (Worker* worker : {&rival, &world.other}) {
    world.b.node.identify(worker->in, world.now, world.wall);
    worker->in.open();
  }
  for (Worker* worker : {&rival, &world.other}) {
    world.b.node.accept(worker->in, world.now, world.wall);
  }
  EXPECT_EQ(rival.in.packets().size(), 3U);
  EXPECT_TRUE(world.other.in.packets().empty());
  EXPECT_EQ(world.b.drops(Drop::Replayed), 5U);
  world.b.node.accept(rival.in, world.now, world.wall);  // nothing is accepted twice either
  EXPECT_EQ(rival.in.packets().size(), 3U);
}

TEST(Batch, ATrainOfManyPeersWithGarbageGivesWhatIsGood) {
  World world;
  Host& b = world.add("10.0.0.1", "192.0.2.1:51820");
  Host& one = world.add("10.0.0.2", "192.0.2.2:51820");
  Host& two = world.add("10.0.0.3", "192.0.2.3:51820");
  Worker worker;
  Packets sent;
  Packets wire;
  for (Host* from : {&one, &two}) {
    world.connect(*from, b);
    from->send(b, "start");
    world.settle();
    for (int i = 0; i < 3; ++i) {
      sent.push_back(ip_packet(from->inner, b.inner, "payload " + std::to_string(i)));
      worker.add(sent.back());
    }
    from->node.plan(worker.out, world.now, world.wall);
    worker.out.seal();
    for (const Datagram& train : worker.out.trains()) {
      for (const auto& datagram : datagrams_of(train)) wire.push_back(datagram);
    }
    worker.out.clear();
  }
  const std::size_t size = wire[0].size();
  std::vector<std::uint8_t> train;
  const auto append = [&](std::vector<std::uint8_t> datagram) {
    train.insert(train.end(), datagram.begin(), datagram.end());
  };
  for (const std::size_t i : {0U, 3U, 1U, 4U}) append(wire[i]);
  append(std::vector<std::uint8_t>(size, 0xee));  // garbage
  auto forged = wire[2];
  forged.back() ^= 1;
  append(forged);
  auto stray = wire[2];
  stray[4] ^= 1;  // no such session
  append(stray);
  for (const std::size_t i : {2U, 5U}) append(wire[i]);
  append({4, 0, 0, 0, 1});  // the short end of a train
  worker.in.add({.packet = worker.pool.copy_of(train),
                 .remote = one.endpoint,
                 .traffic_class = 0,
                 .segment_size = static_cast<std::uint16_t>(size)});
  const Packets got = receive(b, worker, world);
  EXPECT_EQ(got, (Packets{sent[0], sent[3], sent[1], sent[4], sent[2], sent[5]}));
  EXPECT_EQ(b.drops(Drop::Malformed), 2U);
  EXPECT_EQ(b.drops(Drop::BadTag), 1U);
  EXPECT_EQ(b.drops(Drop::UnknownIndex), 1U);
  EXPECT_EQ(b.drops(), 4U);
}

TEST(Batch, ASuperPacketWaitsForItsHandshakeInPieces) {
  World world;
  Host& a = world.add("10.0.0.1", "192.0.2.1:51820");
  Host& b = world.add("10.0.0.2", "192.0.2.2:51820");
  world.connect(a, b);
  Worker worker;
  const SuperPacket packet = tcp_super_packet(a.inner, b.inner, 10000, 1000);
  worker.add(packet.bytes, packet.offload);
  a.node.plan(worker.out, world.now, world.wall);
  worker.out.seal();
  EXPECT_TRUE(worker.out.trains().empty());
  worker.out.clear();
  EXPECT_EQ(worker.pool.in_use(), 0U);
  EXPECT_EQ(a.pool.in_use(), 11U);  // and the initiation
  world.settle();
  EXPECT_EQ(b.received_packets, cut(packet));
  EXPECT_EQ(a.pool.in_use(), 0U);
}

/// A super-packet of more segments than may wait for a handshake.
struct Crowd {
  std::size_t payload;
  std::uint16_t segment;
};

class BatchCrowd : public testing::TestWithParam<Crowd> {};

TEST_P(BatchCrowd, WaitsInBoundsAndTheOldestGoFirst) {
  World world;
  Host& a = world.add("10.0.0.1", "192.0.2.1:51820");
  Host& b = world.add("10.0.0.2", "192.0.2.2:51820");
  world.connect(a, b);
  Worker worker;
  const auto [payload, segment] = GetParam();
  const SuperPacket packet = tcp_super_packet(a.inner, b.inner, payload, segment);
  worker.add(packet.bytes, packet.offload);
  a.node.plan(worker.out, world.now, world.wall);
  worker.out.clear();
  EXPECT_EQ(a.drops(Drop::QueueFull), payload / segment - wg::kStagedPackets);
  EXPECT_EQ(a.drops(), payload / segment - wg::kStagedPackets);
  world.settle();
  const Packets all = cut(packet);
  EXPECT_EQ(b.received_packets, Packets(all.end() - wg::kStagedPackets, all.end()));
}

INSTANTIATE_TEST_SUITE_P(Sizes, BatchCrowd,
                         testing::Values(Crowd{.payload = 20000, .segment = 100},
                                         Crowd{.payload = 60000, .segment = 1}));

TEST(Batch, ASuperPacketNeverTakesASessionBeyondItsLimit) {
  Node::Options options;
  options.timing.rekey_after_messages = 20;
  options.timing.reject_after_messages = 30;
  Linked world(options);
  world.pass(10s);
  const SuperPacket packet = tcp_super_packet(world.a.inner, world.b.inner, 50000, 1000);
  world.worker.add(packet.bytes, packet.offload);
  world.plan(world.worker);
  world.worker.out.seal();
  EXPECT_TRUE(world.worker.out.trains().empty());
  world.worker.out.clear();
  world.b.received_packets.clear();
  world.settle();
  EXPECT_EQ(world.b.received_packets, Packets(cut(packet)));
  EXPECT_EQ(world.a.drops() + world.b.drops(), 0U);
}

TEST(Batch, MalformedInputIsCountedOncePerPacketAndNothingElse) {
  Linked world;
  SuperPacket packet = tcp_super_packet(world.a.inner, world.b.inner, 5000, 1000);
  packet.offload.checksum_start = 60000;
  world.worker.add(packet.bytes, packet.offload);
  world.worker.add(base::Bytes{});
  world.worker.out.add({}, {});
  world.plan(world.worker);
  world.worker.out.seal();
  EXPECT_TRUE(world.worker.out.trains().empty());
  EXPECT_EQ(world.a.drops(Drop::Malformed), 3U);
  EXPECT_FALSE(world.worker.out.empty());
  world.worker.out.clear();
  EXPECT_TRUE(world.worker.out.empty());
}

}  // namespace
}  // namespace warren::node
