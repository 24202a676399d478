#include "pki/wg_keys.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace warren::pki {
namespace {

class SeededRandom final : public base::RandomSource {
 public:
  void fill(base::MutableBytes out) override {
    std::ranges::generate(out, [this] { return static_cast<std::uint8_t>(engine_()); });
  }

 private:
  std::mt19937 engine_{7};
};

TEST(WgKeys, AreClampedAndDiffer) {
  SeededRandom random;
  const WgKeys one = create_wg_keys(random);
  const WgKeys two = create_wg_keys(random);
  EXPECT_NE(one.private_key, two.private_key);
  EXPECT_NE(one.public_key, two.public_key);
  EXPECT_EQ(one.private_key[0] & 7, 0);
  EXPECT_EQ(one.private_key[31] & 0xc0, 0x40);
  EXPECT_TRUE(is_usable_public_key(one.public_key));
}

TEST(WgKeys, LowOrderPointsAreNoKeys) {
  // The points of small order of Curve25519 and their other encodings (RFC 7748 section 6.1).
  for (const char* hex : {"0000000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000000",
                          "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                          "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                          "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    EXPECT_FALSE(is_usable_public_key(base::PublicKey::parse_hex(hex).value())) << hex;
  }
}

TEST(SecretHash, IsSha256) {
  EXPECT_EQ(base::to_hex(secret_hash(base::as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace warren::pki
