// What the tests of documents share: a network as a document says it, and a gateway that has it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "document/document.hpp"

namespace warren::document {

inline constexpr std::string_view kStudy = R"(warren: 1
networks:
  study:
    subnet: 10.220.0.0/16
    endpoint: gw.example.org
    nat: false
    attach: br100
    host-access: true
    dns: [10.220.0.1]
    reserve: 10.220.9.0/24
    max-members: 100
    names: true
    forwarders: 192.0.2.53
    default-role: node
    roles:
      management: {range: 10.220.0.0/24, max-members: 5}
      node:
        range: 10.220.1.0/24
        expires: 30d
    policy:
      # who may talk to the broker
      services:
        mqtt: {peer: broker, port: 1883}
      rules:
        - node -> mqtt

        - management -> node: any
    peers:
      broker:
        role: management
        key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
        address: 10.220.0.5
      ward-3:
    forwards:
      8080/tcp: {peer: broker, port: 80}
)";

inline Document parsed(std::string_view text) {
  auto document = Document::parse(text);
  EXPECT_TRUE(document) << document.error().message;
  return document.value_or(Document{});
}

/// A gateway that has what `lines` of changes made of nothing: enough to compare with again.
inline Current made_of(const Document& document) {
  const Network& said = document.networks.at(0);
  Current current;
  api::NetworkView& view = current.network;
  view.name = said.name;
  view.subnet = said.subnet.value_or("10.20.0.0/24");
  view.subnet6 = "fd00:1::/64";
  view.gateway = "10.220.0.1";
  view.port = 51820;
  view.endpoint = said.endpoint.value_or("gw") + ":51820";
  view.dns = said.dns.value_or(std::vector<std::string>());
  view.nat = said.nat.value_or(true);
  view.attach = said.attach.value_or("");
  view.host_access = said.host_access.value_or(false);
  view.default_role = said.default_role.value_or("member");
  view.max_members = said.max_members.value_or(0);
  view.names = said.names.value_or(false);
  view.forwarders = said.forwarders.value_or(std::vector<std::string>());
  view.reserved = {"10.220.9.0-10.220.9.255"};
  for (const api::RoleAdd& role : said.roles) {
    view.roles.push_back(role.name);
    api::RoleView one;
    one.name = role.name;
    one.range = role.name == "node" ? "10.220.1.0-10.220.1.255" : "10.220.0.0-10.220.0.255";
    one.max_members = role.max_members.value_or(0);
    one.expires_s = role.expires_s.value_or(0);
    current.roles.roles.push_back(one);
  }
  api::AuthorityView& signs = current.authorities.authorities.emplace_back();
  signs.brought = said.ca && !said.ca->certificates.empty();
  signs.certificates = signs.brought ? said.ca->certificates : "made here";
  signs.chain.push_back({.subject = "CN=who signs"});
  current.policy.present = said.policy.has_value();
  current.policy.lines = said.policy.value_or(std::vector<std::string>());
  for (const api::PeerAdd& peer : said.peers) {
    api::PeerView one;
    one.name = peer.name;
    one.role = peer.role.empty() ? "node" : peer.role;
    one.state = peer.public_key ? "enrolled" : "waits-for-key";
    one.public_key = peer.public_key.value_or("");
    one.address = peer.addresses.empty() ? "10.220.1.2" : peer.addresses[0];
    current.peers.peers.push_back(one);
  }
  for (const api::ForwardAdd& forward : said.forwards) {
    api::ForwardView one;
    one.from = forward.from;
    one.peer = forward.peer;
    one.to_port = *forward.to_port;
    current.forwards.forwards.push_back(one);
  }
  return current;
}

}  // namespace warren::document
