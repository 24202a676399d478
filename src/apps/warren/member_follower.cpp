#include "apps/warren/member_follower.hpp"

#include <unistd.h>

#include <utility>

#include <fmt/core.h>

#include "client/join.hpp"
#include "client/member.hpp"

namespace warren::app {

MemberFollower::MemberFollower(Options options) : options_(std::move(options)), owner_(getpid()) {}

MemberFollower::~MemberFollower() {
  if (options_.temporary && owner_ == getpid() && options_.follow.certificate) {
    client::remove_certificate(*options_.follow.certificate);
  }
  if (!options_.temporary || over_ || owner_ != getpid()) return;
  const auto left = client::leave(options_.follow.member);
  if (left || left.error().final) return;
  fmt::print(stderr,
             "warren: the gateway was not told that {} left ({}); its lease ends {} s after "
             "it was last heard\n",
             options_.peer, left.error().error.message, options_.follow.lease_s.value_or(0));
}

void MemberFollower::follow(const os::Fd& supervisor) {
  client::follow(std::move(options_.follow), supervisor);
}

netns::RunNews MemberFollower::put_out(const base::Error& why) {
  over_ = true;
  const bool revoked = why.kind == base::ErrorKind::NotPermitted;
  base::Error error = why;
  error.message = (revoked ? "revoked by the gateway: " : "put out by the gateway: ") + why.message;
  netns::RunNews news;
  if (options_.end_when_revoked) {
    news.end = std::move(error);
  } else {
    fmt::print(stderr, "warren: {}; the program goes on without a network\n", error.message);
  }
  return news;
}

netns::RunNews MemberFollower::read(base::Bytes datagram) {
  netns::RunNews news;
  const auto heard = client::read_heard(datagram);
  if (!heard) return news;
  if (heard->over) return put_out(*heard->over);
  if (heard->endpoint) options_.follow.endpoint_address = heard->endpoint->address;
  ipc::UapiPeer peer;
  peer.public_key = options_.follow.member.gateway_key;
  peer.endpoint = heard->endpoint;
  if (!heard->state) {
    news.peers.push_back(std::move(peer));
    return news;
  }
  const api::MemberState& state = *heard->state;
  const auto profile = client::make_profile(
      state.profile,
      {.enrol_at = state.enrol_at, .pin = options_.follow.member.gateway.pin, .joined_with = {}});
  if (!profile) return news;
  // What a successor of the following process starts with.
  options_.follow.revision = state.revision;
  options_.follow.endpoint = state.profile.endpoint;
  if (const auto at = base::HostPort::parse(state.enrol_at); at && at->port != 0) {
    options_.follow.member.gateway.at = *at;
  }
  const model::WgConf& conf = profile->conf;
  news.changed = true;
  news.addresses = conf.interface.addresses;
  news.mtu = conf.interface.mtu.value_or(0);
  if (!options_.own_dns) news.dns_servers = conf.interface.dns_servers;
  if (!options_.own_search) news.dns_search = conf.interface.dns_search;
  news.routes = conf.peers[0].allowed_ips;
  if (options_.all_routes)
    news.routes = {*base::Prefix::parse("0.0.0.0/0"), *base::Prefix::parse("::/0")};
  for (const base::Prefix& route : news.routes) peer.allowed_ips.push_back({.prefix = route});
  news.peers.push_back(std::move(peer));
  return news;
}

}  // namespace warren::app
