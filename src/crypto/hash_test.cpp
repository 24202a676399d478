// Our BLAKE2s and HMAC beside OpenSSL's, over every short length, random longer ones and random
// cuts into parts.
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "crypto/blake2s.hpp"
#include "crypto/crypto.hpp"

namespace warren::crypto {
namespace {

using Buffer = std::vector<std::uint8_t>;

class Hashes : public ::testing::Test {
 protected:
  Buffer random_bytes(std::size_t size) {
    Buffer out(size);
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(numbers_());
    return out;
  }
  std::size_t below(std::size_t limit) { return numbers_() % limit; }

 private:
  std::mt19937 numbers_{20'151'101};
};

Hash openssl_blake2s(base::Bytes text) {
  Hash out;
  unsigned size = 0;
  EXPECT_EQ(EVP_Digest(text.data(), text.size(), out.data(), &size, EVP_blake2s256(), nullptr), 1);
  EXPECT_EQ(size, out.size());
  return out;
}

Buffer openssl_keyed(base::Bytes key, base::Bytes text, std::size_t digest_size) {
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> mac(
      EVP_MAC_fetch(nullptr, "BLAKE2SMAC", nullptr), &EVP_MAC_free);
  const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context(
      EVP_MAC_CTX_new(mac.get()), &EVP_MAC_CTX_free);
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &digest_size),
                                   OSSL_PARAM_construct_end()};
  Buffer out(digest_size);
  std::size_t written = 0;
  EXPECT_EQ(EVP_MAC_init(context.get(), key.data(), key.size(), parameters), 1);
  EXPECT_EQ(EVP_MAC_update(context.get(), text.data(), text.size()), 1);
  EXPECT_EQ(EVP_MAC_final(context.get(), out.data(), &written, out.size()), 1);
  EXPECT_EQ(written, out.size());
  return out;
}

Hash openssl_hmac(base::Bytes key, base::Bytes text) {
  Hash out;
  unsigned size = 0;
  EXPECT_NE(HMAC(EVP_blake2s256(), key.data(), static_cast<int>(key.size()), text.data(),
                 text.size(), out.data(), &size),
            nullptr);
  EXPECT_EQ(size, out.size());
  return out;
}

// RFC 7693 appendix E: a hash over the hashes of texts of many lengths, keyed and not.
Buffer sequence(std::size_t size, std::uint32_t seed) {
  std::uint32_t a = 0xDEAD4BAD * seed;
  std::uint32_t b = 1;
  Buffer out(size);
  for (std::uint8_t& byte : out) {
    const std::uint32_t sum = a + b;
    a = b;
    b = sum;
    byte = static_cast<std::uint8_t>(sum >> 24);
  }
  return out;
}

void add_digest(Blake2s& all, base::Bytes text, base::Bytes key, std::size_t digest_size) {
  Blake2s one(digest_size, key);
  one.update(text);
  Buffer out(digest_size);
  one.finish(out);
  all.update(out);
}

TEST_F(Hashes, PassTheSelfTestOfRfc7693) {
  Blake2s all;
  for (const std::size_t digest_size : {16U, 20U, 28U, 32U}) {
    for (const std::size_t size : {0U, 3U, 64U, 65U, 255U, 1024U}) {
      const Buffer text = sequence(size, static_cast<std::uint32_t>(size));
      add_digest(all, text, {}, digest_size);
      add_digest(all, text, sequence(digest_size, static_cast<std::uint32_t>(digest_size)),
                 digest_size);
    }
  }
  Hash out;
  all.finish(out);
  EXPECT_EQ(base::to_hex(out), "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe");
}

TEST_F(Hashes, MatchOpensslAtEveryLength) {
  for (std::size_t size = 0; size <= 300; ++size) {
    const Buffer text = random_bytes(size);
    ASSERT_EQ(blake2s({text}), openssl_blake2s(text)) << size;
    const Buffer key = random_bytes(1 + below(32));
    const Mac mac = keyed_blake2s_128(key, text);
    ASSERT_EQ(Buffer(mac.begin(), mac.end()), openssl_keyed(key, text, mac.size())) << size;
  }
}

TEST_F(Hashes, MatchOpensslHoweverTheTextIsCut) {
  for (int round = 0; round < 2000; ++round) {
    const Buffer text = random_bytes(below(1000));
    const std::size_t one = below(text.size() + 1);
    const std::size_t two = one + below(text.size() - one + 1);
    const base::Bytes whole(text);
    const base::Bytes parts[] = {whole.first(one), whole.subspan(one, two - one),
                                 whole.subspan(two)};
    ASSERT_EQ(blake2s({parts[0], parts[1], parts[2]}), openssl_blake2s(text)) << round;
    const Buffer key = random_bytes(1 + below(150));
    Hash mac;
    hmac_blake2s(key, {parts[0], parts[1], parts[2]}, mac);
    ASSERT_EQ(mac, openssl_hmac(key, text)) << round;
  }
}

TEST_F(Hashes, KdfIsHkdf) {
  for (int round = 0; round < 500; ++round) {
    const Buffer chaining = random_bytes(32);
    const Buffer input = random_bytes(below(4) == 0 ? 0 : below(100));
    Hash found[3];
    kdf(chaining, input, {found[0], found[1], found[2]});
    const Hash extracted = openssl_hmac(chaining, input);
    Buffer text;
    for (std::uint8_t i = 0; i < 3; ++i) {
      text.push_back(static_cast<std::uint8_t>(i + 1));
      const Hash expected = openssl_hmac(extracted, text);
      ASSERT_EQ(found[i], expected) << round;
      text.assign(expected.begin(), expected.end());
    }
  }
}

TEST_F(Hashes, ACopyGoesItsOwnWay) {
  const Buffer text = random_bytes(64);
  Blake2s original;
  original.update(text);
  Blake2s copy(original);
  Hash short_one;
  original.finish(short_one);
  copy.expect_more();
  copy.update(text);
  Hash long_one;
  copy.finish(long_one);
  EXPECT_EQ(short_one, openssl_blake2s(text));
  Buffer twice = text;
  twice.insert(twice.end(), text.begin(), text.end());
  EXPECT_EQ(long_one, openssl_blake2s(twice));
}

// One kept key and many peers, one peer and many keys: what one derivation leaves behind must not
// reach the next.
TEST_F(Hashes, AKeptX25519KeyGivesWhatAFreshOneGives) {
  std::vector<X25519Key> kept;
  std::vector<PrivateKey> keys;
  for (int i = 0; i < 8; ++i) {
    keys.emplace_back(std::span<const std::uint8_t, 32>(random_bytes(32)));
    clamp(keys.back());
    kept.emplace_back(keys.back());
    EXPECT_EQ(kept.back().public_key(), public_key(keys.back()));
  }
  for (int round = 0; round < 200; ++round) {
    const std::size_t one = below(keys.size());
    const std::size_t other = below(keys.size());
    SharedSecret fast;
    SharedSecret mirrored;
    SharedSecret fresh;
    ASSERT_TRUE(kept[one].derive(kept[other].public_key(), fast));
    ASSERT_TRUE(kept[other].derive(kept[one].public_key(), mirrored));
    ASSERT_TRUE(x25519(keys[one], public_key(keys[other]), fresh));
    ASSERT_TRUE(fast.equals(fresh) && mirrored.equals(fresh)) << round;
    ASSERT_FALSE(kept[one].derive({}, fast));
    ASSERT_TRUE(fast.is_zero());
  }
}

}  // namespace
}  // namespace warren::crypto
