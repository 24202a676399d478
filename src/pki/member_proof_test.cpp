#include "pki/member_proof.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/crypto.hpp"

namespace warren::pki {
namespace {

struct Pair {
  std::array<std::uint8_t, 32> private_key{};
  base::PublicKey public_key;
};
Pair pair(std::uint8_t seed) {
  crypto::PrivateKey key;
  key.fill()[5] = seed;
  crypto::clamp(key);
  Pair out{.private_key = {}, .public_key = crypto::public_key(key)};
  std::ranges::copy(key.view(), out.private_key.begin());
  return out;
}

TEST(MemberProof, BothHoldersMakeTheSameAndNobodyElse) {
  const Pair member = pair(1);
  const Pair gateway = pair(2);
  const Pair other = pair(3);
  Binding binding{};
  binding[3] = 7;
  const auto mine =
      member_proof(member.private_key, member.public_key, gateway.public_key, binding);
  const auto theirs =
      member_proof(gateway.private_key, member.public_key, gateway.public_key, binding);
  ASSERT_TRUE(mine && theirs);
  EXPECT_TRUE(is_same(*mine, *theirs));
  const auto forged =
      member_proof(other.private_key, member.public_key, gateway.public_key, binding);
  ASSERT_TRUE(forged);
  EXPECT_FALSE(is_same(*forged, *mine));
}

TEST(MemberProof, IsOfOneConnection) {
  const Pair member = pair(1);
  const Pair gateway = pair(2);
  Binding one{};
  Binding two{};
  two[31] = 1;
  EXPECT_FALSE(
      is_same(*member_proof(member.private_key, member.public_key, gateway.public_key, one),
              *member_proof(member.private_key, member.public_key, gateway.public_key, two)));
}

TEST(MemberProof, ALowOrderPointHasNone) {
  const Pair gateway = pair(2);
  EXPECT_FALSE(member_proof(gateway.private_key, base::PublicKey{}, gateway.public_key, Binding{}));
}

}  // namespace
}  // namespace warren::pki
