#include "client/member.hpp"

#include <utility>

#include "api/json.hpp"
#include "client/answer.hpp"
#include "client/limits.hpp"
#include "client/patience.hpp"
#include "crypto/crypto.hpp"
#include "os/clock.hpp"

namespace warren::client {

namespace {

using base::ErrorKind;

bool is_final(ErrorKind kind) {
  return kind == ErrorKind::NotPermitted || kind == ErrorKind::Expired ||
         kind == ErrorKind::NotFound;
}

/// Signs the request for the connection it goes out on; nothing else about it is secret.
MakeRequest signed_request(const Membership& member, std::string target,
                           const api::MemberRequest& unsigned_request) {
  return [&member, target = std::move(target), unsigned_request](const pki::Binding& binding) {
    api::MemberRequest request = unsigned_request;
    const base::PublicKey own = crypto::public_key(member.key);
    request.public_key = own.base64();
    const auto proof = pki::member_proof(member.key.view(), own, member.gateway_key, binding);
    request.proof = proof ? base::to_base64url(*proof) : std::string();
    return HttpRequest{.method = "POST", .target = target, .body = api::encode(request)};
  };
}

/// A gateway that has too much to do is asked again for `busy_for`.
template <typename T>
std::expected<T, MemberError> ask(const Membership& member, const std::string& target,
                                  const api::MemberRequest& request, base::Duration timeout,
                                  base::Duration busy_for) {
  bool sent = false;
  auto answer =
      exchange_pinned(member.gateway, signed_request(member, target, request), sent, timeout);
  for (Patience patience(os::now(), busy_for);;) {
    const auto wanted = wanted_pause(answer);
    if (!wanted) break;
    os::SystemRandom random;
    const auto pause = patience.next(*wanted, os::now(), random);
    if (!pause) break;
    rest(*pause);
    answer =
        exchange_pinned(member.gateway, signed_request(member, target, request), sent, timeout);
  }
  if (!answer) return std::unexpected(MemberError{.error = std::move(answer).error()});
  auto document = read_answer<T>(*answer, "the gateway");
  if (document) return std::move(*document);
  const bool final = is_final(document.error().kind);
  return std::unexpected(MemberError{.error = std::move(document).error(), .final = final});
}

}  // namespace

base::Result<Membership> make_membership(const model::WgConf& conf, const ProfileNote& note) {
  const auto at = base::HostPort::parse(note.enrol_at);
  if (!at || at->port == 0 || conf.peers.size() != 1) {
    return base::make_error(ErrorKind::Invalid, "the profile is no longer the one that join wrote",
                            "join again with a new token");
  }
  return Membership{.network = note.network,
                    .gateway = {.at = *at, .pin = note.pin},
                    .key = crypto::PrivateKey(conf.interface.private_key.view()),
                    .gateway_key = conf.peers[0].public_key};
}

std::expected<api::MemberState, MemberError> sync(const Membership& member,
                                                  const std::string& revision, base::Duration wait,
                                                  std::optional<std::string> request) {
  const auto wait_s = std::chrono::duration_cast<std::chrono::seconds>(wait).count();
  return ask<api::MemberState>(member, "/v1/member/sync",
                               {.network = member.network,
                                .public_key = {},
                                .proof = {},
                                .revision = revision,
                                .wait_s = static_cast<std::uint32_t>(wait_s),
                                .certificate_request = std::move(request)},
                               wait + kEnrolTimeout, base::Duration(0));
}

std::expected<api::MemberLeft, MemberError> leave(const Membership& member) {
  return ask<api::MemberLeft>(
      member, "/v1/member/leave",
      {.network = member.network, .public_key = {}, .proof = {}, .revision = {}, .wait_s = 0},
      kLeaveTimeout, kLeaveBusyFor);
}

}  // namespace warren::client
