// Administrators from elsewhere: their tokens, and what the audit tells them as events.
//
// A token's secret is 16 random bytes; the state has its SHA-256. Looking one up compares it with
// every token, each in constant time, whether or not one matched: the time tells nothing. A token
// that is good for one network goes with that network; one that is made anew under an old name has
// another secret, so who holds the old one is refused.
#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.hpp"
#include "control/impl.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"
#include "model/admin_token.hpp"
#include "pki/member_proof.hpp"
#include "pki/wg_keys.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

base::Status check_token_name(const std::string& name) {
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
  if (plain && !name.empty() && name.size() <= kMaxApiTokenName && name[0] != '-') return {};
  return make_error(ErrorKind::Invalid,
                    fmt::format("'{}' cannot name a token", one_line(name, kMaxApiTokenName)),
                    fmt::format("use a-z, 0-9, '-', '_' and '.', at most {}", kMaxApiTokenName));
}

}  // namespace

api::TokenView Control::Impl::token_view(const store::ApiToken& token) const {
  api::TokenView view{.name = token.name,
                      .network = {},
                      .read_only = token.read_only,
                      .created = token.created.seconds(),
                      .expires = token.expires.seconds()};
  if (token.network) view.network = state.networks.at(*token.network).network.name;
  return view;
}

base::Result<api::TokenCreated> Control::Impl::create_token(const Request& request,
                                                            const api::TokenCreate& wanted) {
  WARREN_TRY(check_token_name(wanted.name));
  if (state.api_tokens.contains(wanted.name)) {
    return make_error(ErrorKind::Conflict, "there is a token of this name",
                      "delete it (warren token delete " + wanted.name + "), or choose another");
  }
  if (state.api_tokens.size() >= kMaxApiTokens) {
    return make_error(ErrorKind::Conflict, fmt::format("there are {} tokens", kMaxApiTokens),
                      "delete those that are not needed");
  }
  const std::uint32_t life = wanted.expires_s.value_or(0);
  if (life > kMaxApiTokenLife_s) {
    return make_error(ErrorKind::Invalid, "a token cannot be valid for so long",
                      "ten years at most; leave --expires out for one that is deleted by hand");
  }
  store::ApiToken token;
  token.name = wanted.name;
  token.read_only = wanted.read_only.value_or(false);
  token.created = deps.clock.wall();
  if (life != 0) token.expires = token.created + std::chrono::seconds(life);
  if (wanted.network) {
    WARREN_TRY_ASSIGN(const model::Network network, find_network(*wanted.network));
    token.network = network.id;
  }
  model::TokenText text{.enrol_at = settings.admin_at, .pin = settings.identity_pin};
  deps.random.fill(text.secret);
  token.secret_hash = pki::secret_hash(text.secret);
  WARREN_TRY(commit({store::PutApiToken{token}}, request));
  return api::TokenCreated{
      .token = token_view(token),
      .secret = base::to_base64url(text.secret),
      .bundle = settings.admin_at.empty() ? std::string() : model::write_admin_token(text)};
}

base::Status Control::Impl::delete_token(const Request& request, const std::string& name) {
  if (state.api_tokens.contains(name)) return commit({store::DeleteApiToken{name}}, request);
  std::vector<std::string> names;
  for (const auto& [known, token] : state.api_tokens) names.push_back(known);
  return unknown_name(fmt::format("there is no token \"{}\"", one_line(name, 80)), name, names,
                      "`warren token list` shows all");
}

base::Result<api::TokenCreated> Control::create_token(const std::string& actor,
                                                      const api::TokenCreate& request) {
  const Request what{actor, "token.create", request.name};
  return impl_->audited(what, "create token " + one_line(request.name, 80),
                        [&] { return impl_->create_token(what, request); });
}

api::TokenList Control::list_tokens() const {
  api::TokenList list;
  for (const auto& [name, token] : impl_->state.api_tokens) {
    list.tokens.push_back(impl_->token_view(token));
  }
  return list;
}

base::Status Control::delete_token(const std::string& actor, const std::string& name) {
  const Request what{actor, "token.delete", name};
  return impl_->audited(what, "delete token " + one_line(name, 80),
                        [&] { return impl_->delete_token(what, name); });
}

base::Result<Administrator> Control::find_administrator(base::Bytes secret) const {
  const auto hash = pki::secret_hash(secret);
  const store::ApiToken* found = nullptr;
  for (const auto& [name, token] : impl_->state.api_tokens) {
    if (pki::is_same(token.secret_hash, hash)) found = &token;
  }
  if (found != nullptr) {
    Administrator administrator{.token = found->name,
                                .network = found->network,
                                .read_only = found->read_only,
                                .secret_hash = found->secret_hash};
    if (is_valid(administrator)) return administrator;
  }
  return make_error(ErrorKind::NotPermitted, "this token is not known here, or its time is over",
                    "ask whoever runs the gateway for another: warren token create NAME");
}

bool Control::is_valid(const Administrator& administrator) const {
  const auto token = impl_->state.api_tokens.find(administrator.token);
  if (token == impl_->state.api_tokens.end()) return false;
  if (!pki::is_same(token->second.secret_hash, administrator.secret_hash)) return false;
  const base::WallTime end = token->second.expires;
  return end.ns == 0 || impl_->deps.clock.wall() < end;
}

std::string Control::network_name(model::NetworkId id) const {
  const auto network = impl_->state.networks.find(id);
  return network == impl_->state.networks.end() ? std::string() : network->second.network.name;
}

}  // namespace warren::control
