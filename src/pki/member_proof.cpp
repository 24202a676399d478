#include "pki/member_proof.hpp"

#include "crypto/crypto.hpp"

namespace warren::pki {

std::optional<MemberProof> member_proof(std::span<const std::uint8_t, 32> ours,
                                        const base::PublicKey& member,
                                        const base::PublicKey& gateway, const Binding& binding) {
  const crypto::PrivateKey secret(ours);
  const base::PublicKey own = crypto::public_key(secret);
  crypto::SharedSecret shared;
  if (!crypto::x25519(secret, own == member ? gateway : member, shared)) return std::nullopt;
  MemberProof proof{};
  crypto::hmac_blake2s(
      shared.view(),
      {base::as_bytes(kMemberExporter), member.bytes, gateway.bytes, base::Bytes(binding)}, proof);
  return proof;
}

bool is_same(const MemberProof& a, const MemberProof& b) {
  return crypto::equal_constant_time(a, b);
}

}  // namespace warren::pki
