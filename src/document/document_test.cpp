#include "document/document.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "document/document_fixture.hpp"

namespace warren::document {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A problem whose text has this in it.
auto Says(const std::string& part) { return Field(&Problem::text, HasSubstr(part)); }

std::string problem(std::string_view text) {
  const auto document = Document::parse(text);
  if (document) return "accepted";
  return document.error().message + " | " + document.error().hint;
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

TEST(Difference, ShowsWhatSomebodyDidToTheHost) {
  Current current = made_of(parsed(kStudy));
  current.verify.differences = {{"study", "host", "missing: address 10.220.0.1/16", ""},
                                {"other", "host", "missing: link", ""}};
  EXPECT_THAT(lines(kStudy, current),
              ElementsAre("! host of study: missing: address 10.220.0.1/16"));
}

}  // namespace
}  // namespace warren::document
