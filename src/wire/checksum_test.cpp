#include "wire/checksum.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/wire_test_support.hpp"

namespace warren::wire {
namespace {

std::uint16_t value_of(Sum sum) {
  std::uint8_t raw[2];
  store_checksum(sum, raw);
  return static_cast<std::uint16_t>(raw[0] << 8 | raw[1]);
}

constexpr VectorWidth kWidths[] = {VectorWidth::Plain, VectorWidth::Avx2, VectorWidth::Avx512};

void expect_all_ways(base::Bytes bytes) {
  const std::uint16_t expected = naive_checksum(bytes);
  ASSERT_EQ(value_of(sum_bytes(bytes)), expected) << bytes.size();
  Buffer copy(bytes.size() + 2, 0xa5);
  const auto expect_copied = [&] {
    ASSERT_TRUE(std::ranges::equal(base::Bytes(copy).subspan(1, bytes.size()), bytes));
    ASSERT_EQ(copy.front(), 0xa5);
    ASSERT_EQ(copy.back(), 0xa5);
    std::ranges::fill(copy, std::uint8_t{0xa5});
  };
  ASSERT_EQ(value_of(copy_and_sum(bytes, &copy[1])), expected);
  expect_copied();
  for (const VectorWidth width : kWidths) {
    if (!available(width)) continue;
    ASSERT_EQ(value_of(sum_bytes(bytes, width)), expected) << bytes.size();
    ASSERT_EQ(value_of(copy_and_sum(bytes, &copy[1], width)), expected);
    expect_copied();
  }
}

TEST(Checksum, OfAKnownHeader) {
  const Buffer header = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                         0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
  EXPECT_EQ(value_of(sum_bytes(header)), 0xb861);
  EXPECT_EQ(naive_checksum(header), 0xb861);
}

TEST(Checksum, EqualsTheNaiveOneForEverySizeAndAlignment) {
  Dice dice(1);
  for (std::size_t size = 0; size < 700; ++size) {
    const Buffer bytes = dice.bytes(size + 7);
    expect_all_ways(base::Bytes(bytes).subspan(dice.below(8), size));
  }
  for (int i = 0; i < 50; ++i) expect_all_ways(dice.bytes(dice.below(70000)));
  expect_all_ways(Buffer(65536, 0xff));
  expect_all_ways(Buffer(65536, 0));
}

TEST(Checksum, AddsUpOverPiecesAndWords) {
  Dice dice(2);
  for (int i = 0; i < 200; ++i) {
    const Buffer bytes = dice.bytes(8 + dice.below(300));
    const base::Bytes all(bytes);
    const std::size_t cut = dice.below(bytes.size() / 2) * 2;
    const auto first = static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
    EXPECT_EQ(fold(sum_bytes(all.first(cut)) + sum_bytes(all.subspan(cut))), fold(sum_bytes(all)));
    EXPECT_EQ(fold(word(first) + sum_bytes(all.subspan(2))), fold(sum_bytes(all)));
    EXPECT_EQ(fold(words(std::uint32_t{first} << 16) + sum_bytes(all.subspan(2))),
              fold(sum_bytes(all)));
    EXPECT_EQ(fold(sum_bytes(all) + negated(sum_bytes(all.first(2))) + 1),
              fold(sum_bytes(all.subspan(2)) + 1));
  }
}

TEST(Checksum, FollowsAChangedWord) {
  Dice dice(3);
  for (int i = 0; i < 2000; ++i) {
    Buffer bytes = dice.bytes(20);
    bytes[0] = 0x45;
    const std::uint16_t before = naive_checksum(bytes);
    const auto old_word = static_cast<std::uint16_t>(bytes[4] << 8 | bytes[5]);
    const std::uint16_t new_word = dice.one_in(4) ? (dice.one_in(2) ? 0 : 0xffff) : dice.u16();
    set16(bytes, 4, new_word);
    EXPECT_EQ(updated_checksum(before, old_word, new_word), naive_checksum(bytes));
  }
  // The example of RFC 1624, section 4, where equation 4 of RFC 1141 errs.
  EXPECT_EQ(updated_checksum(0xdd2f, 0x5555, 0x3285), 0x0000);
}

TEST(Checksum, ZeroIsWrittenAsOnesWhereItMeansNone) {
  std::uint8_t field[2];
  store_checksum(0xffff, field);
  EXPECT_THAT(field, testing::Each(0));
  store_checksum_nonzero(0xffff, field);
  EXPECT_THAT(field, testing::Each(0xff));
}

}  // namespace
}  // namespace warren::wire
