#include "crypto/crypto.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace warren::crypto {
namespace {

using Buffer = std::vector<std::uint8_t>;

Buffer hex(std::string_view text) {
  Buffer out(text.size() / 2);
  EXPECT_TRUE(base::parse_hex(text, out));
  return out;
}

template <std::size_t N>
std::array<std::uint8_t, N> fixed(std::string_view text) {
  std::array<std::uint8_t, N> out{};
  EXPECT_TRUE(base::parse_hex(text, out));
  return out;
}

PrivateKey private_key(std::string_view text) { return PrivateKey(fixed<32>(text)); }

Buffer counting(std::size_t size, std::uint8_t first = 0) {
  Buffer out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(first + i);
  return out;
}

class Counting final : public base::RandomSource {
 public:
  void fill(base::MutableBytes out) override {
    for (std::uint8_t& byte : out) byte = next_++;
  }

 private:
  std::uint8_t next_ = 0xff;
};

TEST(X25519, MatchesRfc7748) {
  SharedSecret shared;
  ASSERT_TRUE(x25519(
      private_key("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
      {fixed<32>("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")}, shared));
  EXPECT_EQ(base::to_hex(shared.view()),
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
}

TEST(X25519, BothSidesAgree) {
  const PrivateKey alice =
      private_key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const PrivateKey bob =
      private_key("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  EXPECT_EQ(public_key(alice).hex(),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  SharedSecret one;
  SharedSecret two;
  ASSERT_TRUE(x25519(alice, public_key(bob), one));
  ASSERT_TRUE(x25519(bob, public_key(alice), two));
  EXPECT_TRUE(one.equals(two));
  EXPECT_EQ(base::to_hex(one.view()),
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

TEST(X25519, RefusesLowOrderPoints) {
  const PrivateKey key =
      private_key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  for (const char* point : {"0000000000000000000000000000000000000000000000000000000000000000",
                            "0100000000000000000000000000000000000000000000000000000000000000",
                            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    SharedSecret out(fixed<32>("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"));
    EXPECT_FALSE(x25519(key, {fixed<32>(point)}, out)) << point;
    EXPECT_TRUE(out.is_zero());
  }
}

TEST(X25519, GeneratesClampedKeys) {
  Counting random;
  const PrivateKey key = generate_private_key(random);
  EXPECT_EQ(key.view()[0], 0xff & 248);
  EXPECT_EQ(key.view()[31], (0x1e & 127) | 64);
}

TEST(Blake2s, MatchesReference) {
  EXPECT_EQ(base::to_hex(blake2s({})),
            "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9");
  EXPECT_EQ(base::to_hex(blake2s({base::as_bytes("a"), {}, base::as_bytes("bc")})),
            "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
}

// Expected values of the next three tests come from CPython's hashlib and hmac.
TEST(Blake2s, KeyedMatchesReference) {
  const Buffer key = counting(32);
  EXPECT_EQ(base::to_hex(keyed_blake2s_128(key, counting(255))),
            "cd075928ab7e6883e697fe7fd3ac43ee");
  EXPECT_EQ(base::to_hex(keyed_blake2s_128(key, {})), "9536f9b267655743dee97b8a670f9f53");
  EXPECT_EQ(base::to_hex(keyed_blake2s_128(Buffer{7}, base::as_bytes("abc"))),
            "37d7fe6d0d4c00cd6fb1873cc2a66533");
}

TEST(Blake2s, HmacMatchesReference) {
  Hash out;
  hmac_blake2s(counting(32), {base::as_bytes("war"), base::as_bytes("ren")}, out);
  EXPECT_EQ(base::to_hex(out), "96535dd9d1f6aa9bec6dd2ebfa20d1cfd85035f8f8d0ddb8705d4280991f6599");
  hmac_blake2s(counting(100), {base::as_bytes("warren")}, out);
  EXPECT_EQ(base::to_hex(out), "4718e129f6c4ecab747a018c565c8d25326d97a54949eedfe9fcd4fe50166342");
}

TEST(Kdf, MatchesReferenceAndAllowsAliasing) {
  Hash chaining = fixed<32>("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  Hash second;
  Hash third;
  kdf(chaining, base::as_bytes("input"), {chaining, second, third});
  EXPECT_EQ(base::to_hex(chaining),
            "87b7f70b24183c6db5dc4f6d9f4c47cdb203321aa2a0bef714896adb3107a040");
  EXPECT_EQ(base::to_hex(second),
            "538a02e1eb2e31b7e4d4b82476d1fe2acf50085d3fb584537279195f5d1f5824");
  EXPECT_EQ(base::to_hex(third),
            "9ad858025593be88de0f9442a589cfe84a88dc19e4753d93684d1c5efc4837f9");
}

TEST(Sha256, MatchesFips180) {
  EXPECT_EQ(base::to_hex(sha256(base::as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

// RFC 8439 appendix A.5: its nonce starts with four zero bytes, as WireGuard's does.
constexpr std::string_view kRfc8439Key =
    "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0";
constexpr std::string_view kRfc8439Text =
    "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
    "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
    "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
    "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
    "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
    "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
    "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
    "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
    "a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38";

TEST(Aead, OpensRfc8439AppendixA5) {
  const Buffer sealed = hex(kRfc8439Text);
  const Buffer aad = hex("f33388860000000000004e91");
  const std::uint64_t counter = 0x0807060504030201;
  Buffer plain(sealed.size() - kTagSize);
  ASSERT_TRUE(aead_open(fixed<32>(kRfc8439Key), counter, aad, sealed, plain));
  const std::string text(plain.begin(), plain.end());
  EXPECT_TRUE(text.starts_with("Internet-Drafts are draft documents valid for a maximum"));
  Buffer again(sealed.size());
  aead_seal(fixed<32>(kRfc8439Key), counter, aad, plain, again);
  EXPECT_EQ(again, sealed);
}

TEST(Aead, RefusesEveryFlippedBitAndEveryTruncation) {
  const Buffer key = counting(32, 0x80);
  const auto key_view = std::span<const std::uint8_t, 32>(key);
  const Buffer aad = counting(12);
  const Buffer plain = counting(40, 3);
  Buffer sealed(plain.size() + kTagSize);
  aead_seal(key_view, 7, aad, plain, sealed);
  Buffer out(plain.size());
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Buffer damaged = sealed;
    damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ (1U << (bit % 8)));
    ASSERT_FALSE(aead_open(key_view, 7, aad, damaged, out)) << bit;
  }
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    Buffer shorter(size < kTagSize ? 0 : size - kTagSize);
    ASSERT_FALSE(aead_open(key_view, 7, aad, base::Bytes(sealed).first(size), shorter)) << size;
  }
  EXPECT_FALSE(aead_open(key_view, 8, aad, sealed, out));
  EXPECT_FALSE(aead_open(key_view, 7, {}, sealed, out));
  EXPECT_TRUE(aead_open(key_view, 7, aad, sealed, out));
  EXPECT_EQ(out, plain);
}

TEST(XAead, MatchesDraftXchachaAppendixA3) {
  const std::string_view plain =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
      "sunscreen would be it.";
  const auto key = fixed<32>("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const auto nonce = fixed<24>("404142434445464748494a4b4c4d4e4f5051525354555657");
  const Buffer aad = hex("50515253c0c1c2c3c4c5c6c7");
  Buffer sealed(plain.size() + kTagSize);
  xaead_seal(key, nonce, aad, base::as_bytes(plain), sealed);
  EXPECT_EQ(base::to_hex(sealed),
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
            "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
            "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
            "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49");
  Buffer out(plain.size());
  ASSERT_TRUE(xaead_open(key, nonce, aad, sealed, out));
  EXPECT_EQ(std::string(out.begin(), out.end()), plain);
  sealed.back() ^= 1;
  EXPECT_FALSE(xaead_open(key, nonce, aad, sealed, out));
}

TEST(Secret, MovesAndLeavesZeros) {
  Secret<32> from(fixed<32>(kRfc8439Key));
  Secret<32> to(std::move(from));
  EXPECT_TRUE(from.is_zero());  // NOLINT(bugprone-use-after-move): that is the promise
  EXPECT_FALSE(to.is_zero());
  EXPECT_TRUE(to.equals(to.clone()));
  to.clear();
  EXPECT_TRUE(to.is_zero());
  EXPECT_FALSE(equal_constant_time(base::as_bytes("ab"), base::as_bytes("a")));
  EXPECT_TRUE(equal_constant_time({}, {}));
}

}  // namespace
}  // namespace warren::crypto
