// How a member proves to its gateway that it holds its WireGuard key, and to nobody else: a MAC
// under the secret that both keys have in common, over the TLS connection that it is sent on.
//
// Only the two holders of a private key can make it. The binding (an exporter value of the TLS 1.3
// connection, RFC 8446 section 7.5) is new for every connection, so a proof that somebody has seen
// is of no use to him, and no clock is asked.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/key.hpp"

namespace warren::pki {

/// The label of the exporter whose 32 bytes a proof covers.
inline constexpr std::string_view kMemberExporter = "EXPORTER-warren-member-1";
using Binding = std::array<std::uint8_t, 32>;
using MemberProof = std::array<std::uint8_t, 32>;

/// `ours` is the private key of either side. nullopt when the two keys have no secret in common (a
/// point of low order).
[[nodiscard]] std::optional<MemberProof> member_proof(std::span<const std::uint8_t, 32> ours,
                                                      const base::PublicKey& member,
                                                      const base::PublicKey& gateway,
                                                      const Binding& binding);
/// In constant time.
[[nodiscard]] bool is_same(const MemberProof& a, const MemberProof& b);

}  // namespace warren::pki
