// Following a gateway: what a member needs to know, as soon as it changes, in a process of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "api/types.hpp"
#include "base/address.hpp"
#include "base/result.hpp"
#include "client/certificate_files.hpp"
#include "client/member.hpp"
#include "os/fd.hpp"

namespace warren::client {

struct FollowOptions {
  Membership member;
  std::string revision;                  ///< of what the member has; empty: not known
  std::optional<std::uint32_t> lease_s;  ///< of an ephemeral member
  std::string endpoint;                  ///< "host:port" of the gateway's engine
  base::IpAddress endpoint_address;      ///< what its host was resolved to last
  /// The profile that is kept current too; no name: there is none on disk.
  std::string directory;
  std::string profile;
  /// The certificate that is kept current; absent: the one beside the profile, where there is one.
  std::optional<CertificateFiles> certificate = {};
  std::string peer = {};  ///< our name in the network; empty: what the profile's note says
};

/// One thing that was heard.
struct Heard {
  std::optional<api::MemberState> state;
  std::optional<base::Endpoint> endpoint;  ///< where the gateway's engine is now
  std::optional<base::Error> over;         ///< the gateway's last word: revoked, expired, not known
};

/// Asks until `listener` (SOCK_SEQPACKET) is closed or the membership is over, and sends each
/// change there; renews a lease. Endpoint names are looked up again at every answer and failure.
void follow(FollowOptions options, const os::Fd& listener);
/// What a datagram of `follow` says.
[[nodiscard]] base::Result<Heard> read_heard(base::Bytes datagram);

}  // namespace warren::client
