// A member and its gateway: what it should know now, and that it leaves. Authenticated by the
// member's key over pinned TLS (docs/formats/member-api.md).
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "api/types.hpp"
#include "base/key.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "client/http.hpp"
#include "client/profile.hpp"
#include "crypto/secret.hpp"
#include "model/wg_conf.hpp"

namespace warren::client {

struct Membership {
  std::string network;
  PinnedGateway gateway;
  crypto::PrivateKey key;
  base::PublicKey gateway_key;
};
/// Of a profile that `join` wrote. Invalid when its conf is no longer one of those.
[[nodiscard]] base::Result<Membership> make_membership(const model::WgConf& conf,
                                                       const ProfileNote& note);

/// An error that is `final` is the gateway's own word: NotPermitted (revoked), Expired, NotFound
/// (it knows no such member). Any other may pass.
struct MemberError {
  base::Error error;
  bool final = false;
};
/// The member's state, at once when its revision is another than this one (empty: at once), else
/// when it changes or after `wait`. With a request for a certificate (PEM) at once, and the
/// certificate is in the answer's profile.
[[nodiscard]] std::expected<api::MemberState, MemberError> sync(
    const Membership& member, const std::string& revision, base::Duration wait,
    std::optional<std::string> request = std::nullopt);
/// Every way in of the member is closed when this returns, and its record is gone.
[[nodiscard]] std::expected<api::MemberLeft, MemberError> leave(const Membership& member);

}  // namespace warren::client
