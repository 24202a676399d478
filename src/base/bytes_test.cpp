#include "base/bytes.hpp"

#include <gtest/gtest.h>

namespace warren::base {
namespace {

TEST(ByteReader, ReadsBothOrders) {
  const std::uint8_t raw[] = {1, 2, 3, 4, 5, 6, 7};
  ByteReader reader(raw);
  EXPECT_EQ(reader.u8(), 1);
  EXPECT_EQ(reader.u16_be(), 0x0203);
  EXPECT_EQ(reader.u32_le(), 0x07060504U);
  EXPECT_TRUE(reader.done());
}

TEST(ByteReader, FailsForGoodPastTheEnd) {
  const std::uint8_t raw[] = {1, 2, 3};
  ByteReader reader(raw);
  EXPECT_EQ(reader.u32_be(), 0U);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_FALSE(reader.done());
}

TEST(ByteWriter, WritesWhatTheReaderReads) {
  std::uint8_t raw[16];
  ByteWriter writer(raw);
  writer.u16_le(0x1234).u32_be(0xdeadbeef).u64_le(42).zeros(2);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(writer.written(), 16U);
  ByteReader reader(raw);
  EXPECT_EQ(reader.u16_le(), 0x1234);
  EXPECT_EQ(reader.u32_be(), 0xdeadbeefU);
  EXPECT_EQ(reader.u64_le(), 42U);
  EXPECT_FALSE(writer.u8(1).ok());
}

TEST(Base64, VectorsOfRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(to_base64(as_bytes(plain)), encoded);
    const auto decoded = parse_base64(encoded);
    ASSERT_TRUE(decoded) << encoded;
    EXPECT_EQ(std::string(decoded->begin(), decoded->end()), plain);
  }
}

TEST(Base64, IsStrict) {
  for (const char* bad : {"Zg=", "Zg", "Zh==", "Zm9v=", "Z g=", "Zm9vYg==\n", "====", "Zg==Zg=="}) {
    EXPECT_FALSE(parse_base64(bad)) << bad;
  }
}

TEST(Base64Url, RoundTripsEveryLength) {
  std::vector<std::uint8_t> bytes;
  for (unsigned length = 0; length < 70; ++length) {
    const auto decoded = parse_base64url(to_base64url(bytes));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, bytes);
    bytes.push_back(static_cast<std::uint8_t>(length * 37 + 200));
  }
}

TEST(Hex, RefusesWrongLengthAndDigits) {
  std::uint8_t out[2];
  EXPECT_TRUE(parse_hex("Ab01", out));
  EXPECT_EQ(out[0], 0xab);
  EXPECT_FALSE(parse_hex("ab0", out));
  EXPECT_FALSE(parse_hex("ab0g", out));
}

TEST(ParseNumber, WholeTextWithinLimits) {
  EXPECT_EQ(parse_number("65535", 0, 65535), 65535U);
  for (const char* bad : {"65536", "", " 1", "1 ", "+1", "-1", "0x1", "99999999999999999999999"}) {
    EXPECT_FALSE(parse_number(bad, 0, 65535)) << bad;
  }
}

}  // namespace
}  // namespace warren::base
