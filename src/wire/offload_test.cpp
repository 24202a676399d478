#include "wire/offload.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/wire_test_support.hpp"

namespace warren::wire {
namespace {

using Cut = Offload::Cut;

/// In native byte order: built through the same words on every machine.
Buffer raw(std::uint8_t flags, std::uint8_t gso_type, std::array<std::uint16_t, 4> rest) {
  Buffer out(kVnetHeaderSize);
  out[0] = flags;
  out[1] = gso_type;
  std::memcpy(&out[2], rest.data(), sizeof rest);
  return out;
}

Buffer packet(bool v6, bool tcp, Layer layer = Layer::Packet, int tags = 0) {
  Spec spec;
  spec.layer = layer;
  spec.tags = tags;
  spec.v6 = v6;
  spec.tcp = tcp;
  spec.payload = Buffer(100, 1);
  return build(spec).bytes;
}

TEST(Offload, ReadsEachKind) {
  const auto cut = [](std::uint8_t type, const Buffer& bytes, Layer layer = Layer::Packet) {
    const auto offload = read_vnet_header(raw(1, type, {40, 20, 20, 16}), bytes, layer);
    return offload ? std::optional(offload->cut) : std::nullopt;
  };
  EXPECT_EQ(cut(0, packet(false, true)), Cut::None);
  EXPECT_EQ(cut(1, packet(false, true)), Cut::Tcp4);
  EXPECT_EQ(cut(4, packet(true, true)), Cut::Tcp6);
  EXPECT_EQ(cut(0x81, packet(false, true)), Cut::Tcp4);  // with the ECN bit
  EXPECT_EQ(cut(0x84, packet(true, true)), Cut::Tcp6);
  EXPECT_EQ(cut(5, packet(false, false)), Cut::Udp4);
  EXPECT_EQ(cut(5, packet(true, false)), Cut::Udp6);
  EXPECT_EQ(cut(5, packet(true, false, Layer::Frame, 2), Layer::Frame), Cut::Udp6);
  EXPECT_EQ(cut(1, packet(true, true)), std::nullopt);
  EXPECT_EQ(cut(4, packet(false, true)), std::nullopt);
  EXPECT_EQ(cut(3, packet(false, false)), std::nullopt);  // UFO: fragments, never asked for
  EXPECT_EQ(cut(5, packet(true, false), Layer::Frame), std::nullopt);
  EXPECT_EQ(cut(5, {}), std::nullopt);
}

TEST(Offload, ReadsItsFields) {
  const Buffer bytes = packet(false, true);
  const Offload expected{.cut = Cut::Tcp4,
                         .needs_checksum = true,
                         .header_size = 999,
                         .segment_size = 50,
                         .checksum_start = 20,
                         .checksum_offset = 16};
  EXPECT_EQ(read_vnet_header(raw(1, 1, {999, 50, 20, 16}), bytes, Layer::Packet), expected);
  // DATA_VALID: verified already, nothing to do; fields without their flag mean nothing.
  EXPECT_EQ(read_vnet_header(raw(2, 0, {9, 8, 7, 6}), bytes, Layer::Packet), Offload{});
}

TEST(Offload, RefusesWhatCannotBe) {
  const Buffer bytes = packet(false, true);  // 140 bytes
  EXPECT_FALSE(read_vnet_header(raw(1, 1, {40, 0, 20, 16}), bytes, Layer::Packet));
  EXPECT_TRUE(read_vnet_header(raw(1, 0, {0, 0, 122, 16}), bytes, Layer::Packet));
  EXPECT_FALSE(read_vnet_header(raw(1, 0, {0, 0, 123, 16}), bytes, Layer::Packet));
  EXPECT_FALSE(read_vnet_header(raw(1, 0, {0, 0, 0xffff, 0xffff}), bytes, Layer::Packet));
  EXPECT_FALSE(read_vnet_header(Buffer(9), bytes, Layer::Packet));
}

TEST(Offload, IsReadAsWritten) {
  for (const Cut cut : {Cut::None, Cut::Tcp4, Cut::Tcp6, Cut::Udp4, Cut::Udp6}) {
    const bool v6 = cut == Cut::Tcp6 || cut == Cut::Udp6;
    const Buffer bytes = packet(v6, cut == Cut::Tcp4 || cut == Cut::Tcp6);
    Offload offload{.cut = cut, .needs_checksum = true, .checksum_start = 20, .checksum_offset = 6};
    if (cut != Cut::None) {
      offload.header_size = 28;
      offload.segment_size = 1200;
    }
    Buffer header(kVnetHeaderSize, 0xee);
    write_vnet_header(offload, header);
    EXPECT_EQ(read_vnet_header(header, bytes, Layer::Packet), offload);
  }
  Buffer header(kVnetHeaderSize + 1, 0xee);
  write_vnet_header({}, header);
  EXPECT_THAT(base::Bytes(header).first(kVnetHeaderSize), testing::Each(0));
  EXPECT_EQ(header.back(), 0xee);
}

}  // namespace
}  // namespace warren::wire
