#include "crypto/scrypt.hpp"

#include <gtest/gtest.h>

namespace warren::crypto {
namespace {

std::string derived(std::string_view passphrase, std::string_view salt, ScryptCost cost) {
  Secret<32> key;
  if (const auto done = scrypt(passphrase, base::as_bytes(salt), cost, key); !done) {
    return done.error().message;
  }
  return base::to_hex(key.view());
}

// RFC 7914, section 12: the first half of each output.
TEST(Scrypt, GivesTheVectorsOfItsRfc) {
  EXPECT_EQ(derived("password", "NaCl", {.log2_n = 10, .r = 8, .p = 16}),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162");
  EXPECT_EQ(derived("pleaseletmein", "SodiumChloride", {.log2_n = 14, .r = 8, .p = 1}),
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2");
}

TEST(Scrypt, RefusesACostOutOfRange) {
  Secret<32> key;
  EXPECT_FALSE(scrypt("x", {}, {.log2_n = 0}, key));
  EXPECT_FALSE(scrypt("x", {}, {.log2_n = 25}, key));
  EXPECT_FALSE(scrypt("x", {}, {.log2_n = 10, .r = 0}, key));
}

}  // namespace
}  // namespace warren::crypto
