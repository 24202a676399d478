#include "proxy/stack.hpp"

#include <gtest/gtest.h>

#include <set>

#include "proxy/proxy_test_support.hpp"
#include "wire/headers.hpp"

namespace warren::proxy {
namespace {

TcpPipe::Handlers ignore_all() {
  return {.connected = [] {},
          .received = [](base::Bytes) {},
          .finished = [] {},
          .writable = [] {},
          .failed = [](Failure) {}};
}
const base::Endpoint kTarget{.address = *base::IpAddress::parse("10.0.0.9"), .port = 80};

TEST(Stack, PortsAndSequenceNumbersCannotBeGuessed) {
  World world;
  std::vector<std::unique_ptr<TcpPipe>> pipes;
  for (int i = 0; i < 16; ++i) {
    pipes.push_back(std::move(*TcpPipe::connect(world.stack, kTarget, ignore_all())));
  }
  ASSERT_EQ(world.sent.size(), 16U);
  std::set<std::uint16_t> ports;
  std::set<std::uint32_t> high_bits;
  for (const auto& packet : world.sent) {
    ports.insert(wire::load_u16_be(packet.data() + 20));
    high_bits.insert(wire::load_u32_be(packet.data() + 24) >> 20);
  }
  EXPECT_GT(ports.size(), 12U);
  EXPECT_GT(high_bits.size(), 12U);  // lwIP's own counter would give one
  EXPECT_GE(*ports.begin(), 32768);
}

TEST(Stack, TheSegmentSizeFitsTheMtu) {
  World world;
  const auto pipe = TcpPipe::connect(world.stack, kTarget, ignore_all());
  ASSERT_TRUE(pipe);
  const auto& syn = world.sent.at(0);
  ASSERT_EQ(syn[40], 2);  // the MSS option comes first
  EXPECT_EQ(wire::load_u16_be(syn.data() + 42), 1400 - 40);
}

TEST(Stack, RestsWhenNothingIsOpen) {
  World world;
  EXPECT_FALSE(world.stack.is_busy());
  {
    const auto pipe = TcpPipe::connect(world.stack, kTarget, ignore_all());
    EXPECT_TRUE(world.stack.is_busy());
  }
  EXPECT_FALSE(world.stack.is_busy());
}

TEST(Stack, ASynIsRepeatedByTheTick) {
  World world;
  const auto pipe = TcpPipe::connect(world.stack, kTarget, ignore_all());
  for (int i = 0; i < 5 * 4; ++i) world.stack.handle_tick();
  EXPECT_GE(world.sent.size(), 2U);
}

TEST(Stack, WhatIsNotForUsIsDroppedAndGarbageDoesNoHarm) {
  World world;
  std::vector<std::uint8_t> packet(60, 0);
  for (int seed = 0; seed < 20000; ++seed) {
    world.random.fill(packet);
    if (seed % 2 == 0) {  // one that passes the filter
      const std::uint8_t header[] = {0x45, 0, 0,  60, 0, 0, 0,  0, 64, 6,
                                     0,    0, 10, 0,  0, 9, 10, 0, 0,  2};
      std::copy(std::begin(header), std::end(header), packet.begin());
    }
    world.stack.handle_packet(packet);
  }
  EXPECT_TRUE(world.sent.empty());
}

TEST(Stack, AnsweredEchoIsToldOnce) {
  World world;
  int answered = 0;
  const auto echo = EchoPipe::open(world.stack, kTarget.address, [&] { ++answered; });
  ASSERT_TRUE(echo);
  (*echo)->ask();
  ASSERT_EQ(world.sent.size(), 1U);
  auto reply = world.sent[0];
  std::swap_ranges(reply.begin() + 12, reply.begin() + 16, reply.begin() + 16);
  reply[20] = 0;  // echo reply; the sum grows by what the type lost
  const std::uint32_t sum = wire::load_u16_be(reply.data() + 22) + 0x0800U;
  wire::store_u16_be(reply.data() + 22, (sum & 0xffff) + (sum >> 16));
  world.stack.handle_packet(reply);
  EXPECT_EQ(answered, 1);
}

}  // namespace
}  // namespace warren::proxy
