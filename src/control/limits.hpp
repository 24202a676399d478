// What the control plane refuses to grow beyond.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace warren::control {

inline constexpr std::size_t kMaxNetworks = 1000;
inline constexpr std::size_t kMaxPeersPerNetwork = 10'000;  ///< invited and enrolled
inline constexpr std::size_t kMaxDnsServers = 8;
inline constexpr std::size_t kMaxReservedRanges = 64;
inline constexpr std::size_t kMaxRoles = 64;  ///< of a network
inline constexpr std::size_t kMaxForwards = 10'000;
inline constexpr std::size_t kMaxAuditAnswer = 10'000;
inline constexpr std::size_t kMaxAuditText = 500;
inline constexpr std::size_t kMaxPersonText = 100;
inline constexpr std::uint32_t kMinTokenLife_s = 10;
inline constexpr std::uint32_t kMaxTokenLife_s = 366 * 24 * 3600;
inline constexpr std::uint32_t kMaxTokenUses = 1000;
/// How long an ephemeral member may be silent.
inline constexpr std::uint32_t kMinLease_s = 5;
inline constexpr std::uint32_t kMaxLease_s = 7 * 24 * 3600;
inline constexpr std::uint32_t kLease_s = 120;
/// A peer's packets come from two places by turns: its endpoint went back to the one before this
/// often, the last time not longer ago than that.
inline constexpr unsigned kReturnsOfAlternation = 2;
inline constexpr std::chrono::minutes kAlternationShown{5};
/// A round asks the engines about as many members, those of the next networks in turn.
inline constexpr std::size_t kMembersLookedAtEachRound = 2000;
inline constexpr std::size_t kMaxApiTokens = 1000;
inline constexpr std::size_t kMaxApiTokenName = 63;
inline constexpr std::uint32_t kMaxApiTokenLife_s = 10U * 366 * 24 * 3600;
inline constexpr std::uint32_t kMinMembership_s = 10;
inline constexpr std::uint32_t kMaxMembership_s = 10U * 366 * 24 * 3600;
/// Authorities that a network makes for itself, and what they sign.
inline constexpr int kAuthorityDays = 3650;
inline constexpr int kMemberCertificateDays = 90;
inline constexpr int kEphemeralCertificateDays = 1;
inline constexpr int kServerCertificateDays = 365;
inline constexpr std::size_t kMaxServerNames = 64;
inline constexpr std::size_t kMaxRetiring = 4;  ///< authorities of a network beside the current one
inline constexpr std::size_t kCertificatesEachDay = 16;  ///< that a member gets when it asks
/// Lists of revoked certificates: how long they are good, and when they are signed anew.
inline constexpr int kListDays = 7;
inline constexpr std::chrono::hours kListRenewal{24};
inline constexpr std::size_t kListsEachRound = 64;
/// The record of a certificate goes this long after its end.
inline constexpr std::chrono::hours kCertificateForgotten{48};
/// A peer whose last handshake is younger is connected (WireGuard's reject-after-time).
inline constexpr std::chrono::seconds kConnectedFor{180};

/// Engines whose processes start while the daemon waits for the first of them.
inline constexpr std::size_t kEnginesStartedTogether = 8;

/// For how long it is believed that nobody on a segment has an address.
inline constexpr std::chrono::seconds kSegmentBelieved{10};
/// Addresses of a segment that are asked for together when one is to be handed out.
inline constexpr std::size_t kAskedTogether = 32;

}  // namespace warren::control
