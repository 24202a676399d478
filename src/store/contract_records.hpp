// Records for the tests of stores: plain ones, and one of each kind with every field away from its
// default.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "store/store.hpp"

namespace warren::store::contract {

inline std::array<std::uint8_t, 32> bytes32(std::uint8_t first, std::uint8_t rest = 0x5a) {
  std::array<std::uint8_t, 32> bytes;
  bytes.fill(rest);
  bytes[0] = first;
  return bytes;
}

inline StoredNetwork network(std::uint32_t id, const std::string& name) {
  StoredNetwork stored;
  stored.network.id = {id};
  stored.network.name = name;
  stored.network.subnet4 = base::Prefix::parse("10.20.0.0/24");
  stored.network.port = static_cast<std::uint16_t>(id);
  stored.network.endpoint_host = "gw.example.org";
  stored.network.transit = id;
  stored.network.gateway_key.bytes = bytes32(static_cast<std::uint8_t>(id));
  stored.network.created = {1'700'000'000'123'456'789};
  stored.gateway_private_key = bytes32(static_cast<std::uint8_t>(id), 0xa5);
  return stored;
}

inline model::Peer peer(std::uint32_t id, std::uint32_t network, const std::string& name) {
  model::Peer peer;
  peer.id = {id};
  peer.network = {network};
  peer.name = name;
  peer.address4 = base::IpAddress::v4(0x0a140000U + id + 1);
  peer.invited = {1'700'000'001'000'000'001};
  return peer;
}

inline model::Token token(std::uint8_t seed, const model::Peer& peer) {
  model::Token token;
  token.secret_hash = bytes32(seed);
  token.network = peer.network;
  token.peer = peer.id;
  token.expires = {1'700'000'999'000'000'000};
  return token;
}

inline StoredAuthority authority(std::uint32_t network, std::uint32_t number) {
  return {.network = {network},
          .number = number,
          .certificate_pem = "certificate",
          .private_key_pem = "key",
          .chain_pem = "",
          .created = {1}};
}

inline IssuedCertificate certificate(const std::string& serial, std::uint32_t network,
                                     std::uint32_t number) {
  return {.serial = serial,
          .network = {network},
          .authority = number,
          .peer = {},
          .name = "server",
          .role = "",
          .issued = {1},
          .not_after = {2}};
}

inline LastList last_list(const std::string& authority) {
  return {.authority = std::string(63, 'a') + authority,
          .der = std::string("\x30\0\xff", 3),
          .until = {9}};
}

inline ApiToken api_token(const std::string& name, std::uint8_t secret) {
  return {.name = name, .secret_hash = bytes32(secret), .network = {}, .created = {1}};
}

inline AuditRecord record(const std::string& target) {
  return {.time = {5}, .actor = "uid 0", .action = "test", .target = target, .result = "ok"};
}

/// Every field away from its default.
inline std::vector<Change> everything() {
  StoredNetwork full = network(0xfffffffe, "full");
  full.network.subnet6 = base::Prefix::parse("fd12:3456::/64");
  full.network.port = 65535;
  full.network.nat = false;
  full.network.dns = {base::IpAddress::v4(0x0a140001U), *base::IpAddress::parse("fd12:3456::1")};
  full.network.mtu = 1280;
  full.network.stopped = true;
  full.network.chosen_gateway4 = base::IpAddress::parse("10.20.0.254");
  full.network.chosen_gateway6 = base::IpAddress::parse("fd12:3456::fffe");
  full.network.reserved = {*model::AddressRange::parse("10.20.0.64/26"),
                           *model::AddressRange::parse("fd12:3456::1-fd12:3456::9")};
  full.network.roles = {{.number = 4'000'000'000,
                         .name = "member",
                         .range4 = model::AddressRange::parse("10.20.0.32/27"),
                         .range6 = model::AddressRange::parse("fd12:3456::100/120"),
                         .max_members = 4'000'000'001,
                         .membership_s = 4'000'000'002},
                        {.number = 7, .name = "node", .range4 = {}, .range6 = {}}};
  full.network.default_role = "node";
  full.network.max_members = 4'000'000'003;
  full.network.policy = "rules: []  # nobody\n";
  full.network.max_devices = 4'000'000'004;
  full.network.names = true;
  full.network.forwarders = {base::IpAddress::v4(0x0a140035U),
                             *base::IpAddress::parse("fd12:3456::35")};
  full.network.attach = "br100";
  full.network.host_access = true;
  full.network.listen = {base::IpAddress::v4(0xc0000201U), *base::IpAddress::parse("2001:db8::1")};
  model::Peer enrolled = peer(7, full.network.id.value, "laptop");
  enrolled.role = "node";
  enrolled.state = model::PeerState::Enrolled;
  enrolled.address6 = base::IpAddress::parse("fd12:3456::2");
  enrolled.public_key = base::PublicKey{bytes32(9)};
  enrolled.enrolled = {1'700'000'002'000'000'002};
  model::Peer gone = peer(8, full.network.id.value, "laptop");  // the name is free again
  gone.state = model::PeerState::Revoked;
  gone.address4.reset();
  gone.public_key = base::PublicKey{bytes32(10)};
  gone.revoked = {1'700'000'003'000'000'003};
  model::Peer waiting = peer(9, full.network.id.value, "phone");
  waiting.by_hand = true;
  waiting.lease_s = 4'000'000'000;
  waiting.person = "ann@example.org";
  waiting.expires = {1'800'000'000'000'000'001};
  model::Token bound = token(3, enrolled);
  bound.bound_to = enrolled.public_key;
  StoredNetwork only6 = network(2, "only6");
  only6.network.subnet4.reset();
  only6.network.subnet6 = base::Prefix::parse("fd00::/64");
  return {PutNetwork{full},
          PutPeer{enrolled},
          PutPeer{gone},
          PutPeer{waiting},
          PutToken{bound},
          PutForward{{{model::Protocol::Udp, 65535}, full.network.id, enrolled.id, 1}},
          PutToken{token(1, gone)},
          RefuseKey{{full.network.id, base::PublicKey{bytes32(10)}, {77}}},
          PutNetwork{only6},
          RefuseEverywhere{base::PublicKey{bytes32(11)}, {78}},
          PutAuthority{{.network = full.network.id,
                        .number = 1,
                        .certificate_pem = "certificate 1",
                        .private_key_pem = "key 1",
                        .chain_pem = "chain 1",
                        .retiring = true,
                        .brought = true,
                        .list_number = 5'000'000'000,
                        .created = {79}}},
          PutAuthority{authority(full.network.id.value, 2)},
          PutCertificate{{.serial = "0a",
                          .network = full.network.id,
                          .authority = 1,
                          .peer = gone.id,
                          .name = "laptop",
                          .role = "node",
                          .is_server = true,
                          .issued = {80},
                          .not_after = {81},
                          .revoked = {82}}},
          PutCertificate{certificate("0b", full.network.id.value, 2)},
          PutCertificate{{.serial = "0c",
                          .network = full.network.id,
                          .authority = 2,
                          .peer = {},
                          .name = "www",
                          .role = "server",
                          .is_server = true,
                          .issued = {85},
                          .not_after = {86}}},
          PutLastList{{.authority = std::string(64, 'f'),
                       .der = std::string("\x30\0\xff", 3),
                       .until = {1'800'000'000'000'000'001}}},
          PutApiToken{{.name = "ci",
                       .secret_hash = bytes32(12),
                       .network = full.network.id,
                       .read_only = true,
                       .created = {83},
                       .expires = {84}}},
          PutApiToken{api_token("root", 13)}};
}

}  // namespace warren::store::contract
