#include "document/document.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::document {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A problem whose text has this in it.
auto Says(const std::string& part) { return Field(&Problem::text, HasSubstr(part)); }

constexpr std::string_view kStudy = R"(warren: 1
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

Document parsed(std::string_view text) {
  auto document = Document::parse(text);
  EXPECT_TRUE(document) << document.error().message;
  return document.value_or(Document{});
}

std::string problem(std::string_view text) {
  const auto document = Document::parse(text);
  if (document) return "accepted";
  return document.error().message + " | " + document.error().hint;
}

/// A gateway that has what `lines` of changes made of nothing: enough to compare with again.
Current made_of(const Document& document) {
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

std::vector<std::string> lines_of(const Difference& difference) {
  std::vector<std::string> lines;
  for (const Change& change : difference.changes) {
    lines.insert(lines.end(), change.lines.begin(), change.lines.end());
  }
  return lines;
}

std::vector<std::string> lines(std::string_view wanted, const Current& current,
                               bool prune = false) {
  return lines_of(difference(parsed(wanted), {{"study", current}}, prune));
}

TEST(Difference, OfNames) {
  Current current = made_of(parsed(kStudy));
  current.network.names = false;
  current.network.forwarders = {"192.0.2.54"};
  const Difference found = difference(parsed(kStudy), {{"study", current}}, false);
  ASSERT_EQ(found.changes.size(), 1U);
  EXPECT_THAT(found.changes[0].lines,
              ElementsAre("~ names of study: off -> on",
                          "~ forwarders of study: 192.0.2.54 -> 192.0.2.53"));
  EXPECT_EQ(found.changes[0].set.names, true);
  EXPECT_THAT(*found.changes[0].set.forwarders, ElementsAre("192.0.2.53"));
  const Network said = describe(made_of(parsed(kStudy)));
  EXPECT_EQ(said.names, true);
  EXPECT_THAT(*said.forwarders, ElementsAre("192.0.2.53"));
}

TEST(Document, ReadsWholeNetworks) {
  const Document document = parsed(kStudy);
  ASSERT_EQ(document.networks.size(), 1U);
  const Network& study = document.networks[0];
  EXPECT_EQ(study.name, "study");
  EXPECT_EQ(study.subnet, "10.220.0.0/16");
  EXPECT_FALSE(study.subnet6);
  EXPECT_FALSE(study.port);
  EXPECT_EQ(study.nat, false);
  EXPECT_THAT(*study.dns, ElementsAre("10.220.0.1"));
  EXPECT_THAT(*study.reserve, ElementsAre("10.220.9.0/24")) << "one value is a list of one";
  ASSERT_EQ(study.roles.size(), 2U);
  EXPECT_EQ(study.roles[0].max_members, 5U);
  EXPECT_EQ(study.roles[1].expires_s, 30U * 86'400);
  ASSERT_EQ(study.peers.size(), 2U);
  EXPECT_EQ(study.peers[0].role, "management");
  EXPECT_FALSE(study.peers[1].public_key);
  ASSERT_EQ(study.forwards.size(), 1U);
  EXPECT_EQ(study.forwards[0].to_port, 80);
  EXPECT_THAT(
      *study.policy,
      ElementsAre("# who may talk to the broker", "services:", "  mqtt: {peer: broker, port: 1883}",
                  "rules:", "  - node -> mqtt", "", "  - management -> node: any"));
}

TEST(Document, WritesWhatItReads) {
  const Document document = parsed(kStudy);
  const std::string text = document.write();
  const Document again = parsed(text);
  EXPECT_EQ(again.write(), text);
  EXPECT_EQ(again.networks[0].policy, document.networks[0].policy);
  EXPECT_EQ(again.networks[0].peers[0].public_key, document.networks[0].peers[0].public_key);
  EXPECT_EQ(again.networks[0].roles[1].expires_s, document.networks[0].roles[1].expires_s);
}

TEST(Document, NamesThePlaceOfAMistake) {
  EXPECT_THAT(problem(""), HasSubstr("begin it with `warren: 1`"));
  EXPECT_THAT(problem("warren: 2\n"), HasSubstr("line 1, column 9"));
  EXPECT_THAT(problem("warren: 1\nnetwork: {}\n"),
              HasSubstr("line 2, column 1: unknown key \"network\" in the document | did you mean "
                        "networks?"));
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  Study:\n"), HasSubstr("line 3, column 3"));
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  a: {subnett: 10.0.0.0/24}\n"),
              HasSubstr("did you mean subnet?"));
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  a: {subnet: 10.0.0.0}\n"),
              HasSubstr("line 3, column 15: \"10.0.0.0\" is no prefix"));
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  a: {nat: perhaps}\n"), HasSubstr("neither true"));
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  a: {port: 99999}\n"), HasSubstr("is no number"));
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  a: {port: 1, port: 2}\n"), HasSubstr("again"));
  EXPECT_THAT(problem("warren: 1\nnetworks: [a]\n"), HasSubstr("mapping of names"));
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  a:\n    peers: {x: {key: short}}\n"),
              HasSubstr("is no public key"));
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  a:\n    peers: {x: {}, x: {}}\n"),
              HasSubstr("\"x\" again"));
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  a:\n    forwards: {web: {peer: x}}\n"),
              HasSubstr("no public port"));
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  a:\n    forwards: {80/tcp: {}}\n"),
              HasSubstr("leads to no peer"));
  EXPECT_THAT(problem("warren: 1\nnetworks: {a: [}\n"), HasSubstr("this is no YAML"));
  EXPECT_THAT(problem(std::string(kMaxDocumentBytes + 1, ' ')), HasSubstr("larger than"));
}

TEST(Document, NamesThePlaceOfAMistakeInsideThePolicy) {
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  a:\n    nat: true\n    policy:\n      rules:\n"
                      "        - nodes -> gateway tcp 22\n    peers: {}\n"),
              HasSubstr("line 7, column"));
  EXPECT_THAT(problem("warren: 1\nnetworks:\n  a:\n    policy: {rules: []}\n"),
              HasSubstr("write the policy as a block"));
  EXPECT_TRUE(parsed("warren: 1\nnetworks:\n  a: {policy: none}\n").networks[0].policy->empty());
}

TEST(Difference, OfNothingIsEverythingInAnOrderThatOpensNothing) {
  const Difference all = difference(parsed(kStudy), {}, false);
  EXPECT_THAT(all.conflicts, IsEmpty());
  std::vector<ChangeKind> kinds;
  for (const Change& change : all.changes) kinds.push_back(change.kind);
  EXPECT_THAT(kinds,
              ElementsAre(ChangeKind::CreateNetwork, ChangeKind::SetPolicy, ChangeKind::AddPeers,
                          ChangeKind::SetPolicy, ChangeKind::AddForward));
  EXPECT_THAT(all.changes[1].policy.lines, ElementsAre("rules: []"));
  EXPECT_EQ(all.changes[0].create.roles.size(), 2U);
  EXPECT_EQ(all.changes[2].peers.size(), 2U);
}

TEST(Difference, IsNothingTheSecondTime) {
  EXPECT_THAT(lines(kStudy, made_of(parsed(kStudy)), true), IsEmpty());
}

TEST(Difference, OfADescriptionIsNothing) {
  const Current current = made_of(parsed(kStudy));
  const std::string text = Document{{describe(current)}}.write();
  EXPECT_THAT(lines(text, current, true), IsEmpty()) << text;
}

TEST(Difference, ASegmentStaysAndTheHostsAccessChanges) {
  const Current current = made_of(parsed(kStudy));
  EXPECT_THAT(lines("warren: 1\nnetworks:\n  study: {host-access: false}\n", current),
              ElementsAre("~ host-access of study: on -> off"));
  const Difference moved = difference(parsed("warren: 1\nnetworks:\n  study: {attach: br200}\n"),
                                      {{"study", current}}, false);
  ASSERT_EQ(moved.conflicts.size(), 1U);
  EXPECT_THAT(moved.conflicts[0].text, HasSubstr("is attached to br100 and cannot be to br200"));
}

TEST(Difference, NamesEachSettingThatChanges) {
  const Current current = made_of(parsed(kStudy));
  EXPECT_THAT(lines("warren: 1\nnetworks:\n  study: {nat: true, dns: [], endpoint: other, stopped: "
                    "true}\n",
                    current),
              ElementsAre("~ endpoint of study: gw.example.org -> other",
                          "~ dns of study: 10.220.0.1 -> none", "~ nat of study: off -> on",
                          "~ network study is stopped"));
  EXPECT_THAT(lines("warren: 1\nnetworks:\n  study:\n    roles:\n      node: {expires: never}\n"
                    "      guest: {}\n",
                    current),
              ElementsAre("~ role node of study: expires: 30d -> 0s", "+ role guest of study"));
  EXPECT_THAT(lines("warren: 1\nnetworks:\n  study: {policy: none}\n", current),
              ElementsAre("- policy of study"));
  EXPECT_THAT(
      lines("warren: 1\nnetworks:\n  study:\n    forwards: {8080/tcp: {peer: ward-3}}\n", current),
      ElementsAre("- forward 8080/tcp to broker port 80",
                  "+ forward 8080/tcp to ward-3 port 8080"));
  EXPECT_THAT(lines("warren: 1\nnetworks:\n  study:\n    peers: {ward-3: {key: "
                    "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=}}\n",
                    current),
              ElementsAre("~ key of peer ward-3 of study"));
}

TEST(Difference, WhatIsNotSaidStaysUnlessPruned) {
  const Current current = made_of(parsed(kStudy));
  constexpr std::string_view kBare = "warren: 1\nnetworks:\n  study: {}\n";
  EXPECT_THAT(lines(kBare, current), IsEmpty());
  EXPECT_THAT(lines(kBare, current, true),
              ElementsAre("- forward 8080/tcp",
                          "- peer broker of study (revoked: its key is refused for ever)",
                          "- peer ward-3 of study (revoked: its key is refused for ever)",
                          "- role management of study", "- role node of study"));
}

TEST(Difference, RefusesWhatCannotChange) {
  const Current current = made_of(parsed(kStudy));
  const auto conflicts = [&](const std::string& settings) {
    return difference(parsed("warren: 1\nnetworks:\n  study: " + settings + "\n"),
                      {{"study", current}}, false)
        .conflicts;
  };
  EXPECT_THAT(conflicts("{subnet: 10.0.0.0/24}"), ElementsAre(Says("the subnet of network")));
  EXPECT_THAT(conflicts("{port: 1}"), ElementsAre(Says("is 51820 and cannot become 1")));
  EXPECT_THAT(conflicts("{gateway-address: 10.220.0.9}"), ElementsAre(Says("10.220.0.9")));
  EXPECT_THAT(conflicts("{peers: {broker: {role: node}}}"), ElementsAre(Says("the role")));
  EXPECT_THAT(conflicts("{peers: {broker: {address: 10.220.0.6}}}"),
              ElementsAre(Says("the address 10.220.0.5")));
  EXPECT_THAT(conflicts("{subnet: 10.220.0.0/16, port: 51820, gateway-address: 10.220.0.1}"),
              IsEmpty());
}

/// A network with an authority; `first` and `second` stand for a certificate and its chain.
std::string with_authority(const std::string& first, const std::string& second = {},
                           const std::string& key = {}) {
  std::string text = "warren: 1\nnetworks:\n  study:\n    ca:\n      certificate: |\n";
  for (const std::string& body : {first, second}) {
    if (body.empty()) continue;
    text += "        -----BEGIN CERTIFICATE-----\n        " + body +
            "\n        -----END CERTIFICATE-----\n";
  }
  return key.empty() ? text : text + "      key: " + key + "\n";
}

TEST(Authority, OfADescriptionIsTheSameAndHoldsNoKey) {
  Current current = made_of(parsed(with_authority("Zmlyc3Q=", "cm9vdA==", "ca.key")));
  ASSERT_TRUE(current.authorities.authorities[0].brought);
  const std::string text = Document{{describe(current)}}.write();
  EXPECT_THAT(text, HasSubstr("        cm9vdA==\n"));
  EXPECT_EQ(text.find("key"), std::string::npos) << text;
  const Difference nothing = difference(parsed(text), {{"study", current}}, true);
  EXPECT_THAT(nothing.changes, IsEmpty()) << text;
  EXPECT_THAT(nothing.conflicts, IsEmpty());

  current.authorities.authorities[0].brought = false;
  const std::string own = Document{{describe(current)}}.write();
  EXPECT_THAT(own, HasSubstr("    ca: own\n"));
  EXPECT_THAT(lines(own, current), IsEmpty());
  // With nothing, either is made; a key that is not named is asked for before anything is.
  EXPECT_THAT(difference(parsed(own), {}, false).conflicts, IsEmpty());
  EXPECT_FALSE(difference(parsed(own), {}, false).changes[0].create.ca_certificates);
  EXPECT_THAT(difference(parsed(text), {}, false).conflicts, ElementsAre(Says("key: FILE")));
}

TEST(Authority, ThatDiffersIsRolledOver) {
  const Current own = made_of(parsed(kStudy));
  const Difference brought =
      difference(parsed(with_authority("Zmlyc3Q=", "", "ca.key")), {{"study", own}}, false);
  ASSERT_EQ(brought.changes.size(), 1U);
  EXPECT_EQ(brought.changes[0].kind, ChangeKind::RotateAuthority);
  EXPECT_EQ(brought.changes[0].key_file, "ca.key");
  EXPECT_THAT(*brought.changes[0].rotate.ca_certificates, HasSubstr("Zmlyc3Q="));
  EXPECT_FALSE(brought.changes[0].rotate.ca_key) << "whoever makes the change reads it";
  const auto keyless = difference(parsed(with_authority("Zmlyc3Q=")), {{"study", own}}, false);
  EXPECT_THAT(keyless.conflicts, ElementsAre(Says("key: FILE")));

  const Current other = made_of(parsed(with_authority("Zmlyc3Q=", "cm9vdA==", "ca.key")));
  EXPECT_THAT(lines("warren: 1\nnetworks:\n  study: {ca: own}\n", other),
              ElementsAre(HasSubstr("~ authority of study: CN=who signs -> its own")));
  EXPECT_THAT(lines("warren: 1\nnetworks:\n  study: {}\n", other), IsEmpty());
  EXPECT_THAT(lines(with_authority("Zmly\n        c3Q="), other), IsEmpty())
      << "however it is broken into lines; and the chain is known";
  const auto chain =
      difference(parsed(with_authority("Zmlyc3Q=", "b3RoZXI=")), {{"study", other}}, false);
  EXPECT_THAT(chain.conflicts, ElementsAre(Says("another chain")));
}

TEST(Authority, IsNamedWithThePlaceOfAMistake) {
  const auto wrong = [](const std::string& ca) {
    return problem("warren: 1\nnetworks:\n  a:\n    ca: " + ca + "\n");
  };
  EXPECT_THAT(wrong("mine"), HasSubstr("line 4, column 9: \"mine\" is no authority"));
  EXPECT_THAT(wrong("{certificat: x}"),
              HasSubstr("line 4, column 10: unknown key \"certificat\" in ca of network a | did "
                        "you mean certificate?"));
  EXPECT_THAT(wrong("{key: x}"), HasSubstr("add certificate: FILE"));
  EXPECT_THAT(wrong("[own]"), HasSubstr("is no authority"));
  EXPECT_THAT(wrong("{certificate: \"\"}"), HasSubstr("line 4, column 24: this is neither"));
  EXPECT_THAT(wrong("{certificate: f, key: \"-----BEGIN PRIVATE KEY-----\"}"),
              HasSubstr("a private key is no part of a document"));
  EXPECT_THAT(wrong("{certificate: \"-----BEGIN CERTIFICATE----- -----END CERTIFICATE----- "
                    "-----BEGIN EC PRIVATE KEY-----\"}"),
              HasSubstr("a private key is no part of a document"));
  EXPECT_EQ(parsed("warren: 1\nnetworks:\n  a: {ca: {certificate: ca.pem}}\n").networks[0].ca->file,
            "ca.pem");
}

// YAML takes this word for nothing.
TEST(Document, ANameMayBeNull) {
  Document document;
  Network& made = document.networks.emplace_back();
  made.name = "null";
  made.roles.push_back({.name = "null"});
  made.peers.push_back({.name = "null", .role = "null", .person = "null"});
  const Document again = parsed(document.write());
  ASSERT_EQ(again.networks.size(), 1U);
  EXPECT_EQ(again.networks[0].name, "null");
  EXPECT_EQ(again.networks[0].roles.at(0).name, "null");
  EXPECT_EQ(again.networks[0].peers.at(0).name, "null");
  EXPECT_EQ(again.networks[0].peers.at(0).role, "null");
  EXPECT_EQ(again.networks[0].peers.at(0).person, "null");
}

/// "LINE:COLUMN TEXT | HINT" of each.
std::vector<std::string> said(const std::vector<Problem>& problems) {
  std::vector<std::string> out;
  for (const Problem& one : problems) {
    out.push_back(std::to_string(one.place.line) + ":" + std::to_string(one.place.column) + " " +
                  one.text + (one.hint.empty() ? "" : " | " + one.hint));
  }
  return out;
}

constexpr std::string_view kMeaningless = R"(warren: 1
networks:
  study:
    subnet: 10.220.0.0/16
    default-role: nobody
    reserve: 10.220.9.0/24
    roles:
      node: {range: 10.220.1.0/24}
      far: {range: 10.221.0.0/24}
    policy:
      # nodes ask the broker
      rules:
        - node -> brokr: tcp 1883
    peers:
      broker: {address: 10.220.0.5}
      guest: {role: nodee}
      one: {role: node, address: 10.220.2.1}
      two: {address: 10.220.0.5}
      three: {address: 10.230.0.1}
      four: {address: 10.220.9.9}
      five: {address: [10.220.3.1, 10.220.3.2]}
      six: {key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=}
      seven:
        key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
    forwards:
      8080/tcp:
        peer: nobody
      80: {peer: broker}
  other:
    forwards:
      80/tcp: {peer: broker}
)";

TEST(Mistakes, AreAllNamedAtTheirPlace) {
  EXPECT_THAT(
      said(mistakes(parsed(kMeaningless), {}, false)),
      ElementsAre(
          "5:19 network study has no role \"nobody\" | did you mean node?",
          "9:20 the range 10.221.0.0-10.221.0.255 of role far is not inside the network's subnet "
          "10.220.0.0/16 | choose one inside it",
          "13:19 network study has no role or peer \"brokr\" | did you mean broker?",
          "16:21 network study has no role \"nodee\" | did you mean node?",
          HasSubstr("17:34 address 10.220.2.1 is outside 10.220.1.0-10.220.1.255, the range of "
                    "role node"),
          HasSubstr("18:22 address 10.220.0.5 belongs to broker already"),
          HasSubstr("19:24 address 10.230.0.1 is outside network study"),
          HasSubstr("20:23 address 10.220.9.9 lies in the reserved range"),
          HasSubstr("21:23 peer five has two addresses of one family"),
          HasSubstr("24:14 this key is that of peer six already"),
          HasSubstr("27:15 network study has no peer \"nobody\""),
          HasSubstr("31:7 port 80/tcp leads into network study already"),
          HasSubstr("31:22 network other has no peer \"broker\"")));
}

TEST(Mistakes, AreNoneWhereTheGatewayHasIt) {
  EXPECT_THAT(said(mistakes(parsed(kStudy), {}, false)), IsEmpty());
  const Current current = made_of(parsed(kStudy));
  const auto found = [&](const std::string& settings, bool prune) {
    return said(mistakes(parsed("warren: 1\nnetworks:\n  study: " + settings + "\n"),
                         {{"study", current}}, prune));
  };
  constexpr const char* kNamesWhatIsThere =
      "{peers: {new: {role: node}}, forwards: {443/tcp: {peer: broker}}}";
  EXPECT_THAT(found(kNamesWhatIsThere, false), IsEmpty());
  EXPECT_THAT(found(kNamesWhatIsThere, true),
              ElementsAre(HasSubstr("has no role \"node\""), HasSubstr("has no peer \"broker\"")))
      << "they go";
  EXPECT_THAT(found("{peers: {new: {address: 10.220.0.5}}}", false),
              ElementsAre(HasSubstr("belongs to broker already")));
  // Who is there was accepted once; a network that is there keeps its subnet.
  EXPECT_THAT(found("{peers: {ward-3: {address: 10.230.0.1}}}", false), IsEmpty());
  EXPECT_THAT(found("{subnet: 10.99.0.0/16, peers: {new: {address: 10.220.1.9}}}", false),
              IsEmpty());
}

TEST(Place, OfWhatTheGatewayRefuses) {
  const Document study = parsed(kStudy);
  const auto place = [&](ChangeKind kind, const std::string& target, std::string_view message) {
    Change change;
    change.kind = kind;
    change.network = "study";
    change.target = target;
    const Place found = place_of(study, change, message);
    return std::to_string(found.line) + ":" + std::to_string(found.column);
  };
  EXPECT_EQ(place(ChangeKind::CreateNetwork, "", "the subnet 10.220.0.0/16 overlaps lab"), "4:13");
  EXPECT_EQ(place(ChangeKind::CreateNetwork, "", "there is no link br100"), "7:13");
  EXPECT_EQ(place(ChangeKind::CreateNetwork, "", "there are too many networks"), "3:3");
  EXPECT_EQ(place(ChangeKind::CreateNetwork, "", "roles overlap at 10.220.1.0/24"), "18:16");
  EXPECT_EQ(place(ChangeKind::AddPeers, "", "add peer ward-3: the network is full"), "33:7");
  EXPECT_EQ(place(ChangeKind::AddPeers, "", "add peer broker: address 10.220.0.5 is used"),
            "32:18");
  EXPECT_EQ(place(ChangeKind::AddForward, "8080/tcp", "the port is used"), "35:7");
  EXPECT_EQ(place(ChangeKind::SetPolicy, "", "set the policy: line 7, column 5: no such"), "27:11");
  EXPECT_EQ(place(ChangeKind::SetPolicy, "", "the policy is too large"), "20:5");
}

TEST(Difference, ShowsWhatSomebodyDidToTheHost) {
  Current current = made_of(parsed(kStudy));
  current.verify.differences = {{"study", "host", "missing: address 10.220.0.1/16", ""},
                                {"other", "host", "missing: link", ""}};
  EXPECT_THAT(lines(kStudy, current),
              ElementsAre("! host of study: missing: address 10.220.0.1/16"));
}

}  // namespace
}  // namespace warren::document
