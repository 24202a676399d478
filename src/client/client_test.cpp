#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/json.hpp"
#include "client/daemon.hpp"
#include "client/join.hpp"
#include "client/profile.hpp"
#include "crypto/crypto.hpp"
#include "os/file.hpp"
#include "server/server_fixture.hpp"

namespace warren::client {
namespace {

using server::testing::ScratchDirectory;
using server::testing::TestServer;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

unsigned mode_of(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777U : 0U;
}

/// The files in a directory, sorted.
std::vector<std::string> files_in(const std::string& path) {
  std::vector<std::string> names;
  if (!std::filesystem::exists(path)) return names;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  return names;
}

/// What a join writes.
auto profile_files(const std::string& name) {
  return ElementsAre(name + ".ca.crt", name + ".conf", name + ".crt", name + ".key",
                     name + ".warren.json");
}

struct Member {
  ScratchDirectory scratch;
  control::testing::SeededRandom random{7};
  [[nodiscard]] std::string directory() const { return scratch.path() + "/config/warren"; }
  base::Result<Joined> join(const model::TokenText& token,
                            std::optional<std::string> profile = std::nullopt) {
    return client::join({.token = token, .directory = directory(), .profile = std::move(profile)},
                        random, os::wall_now());
  }
};

TEST(Daemon, MakesTypedCalls) {
  TestServer server;
  const Daemon daemon(server.socket_path());
  api::NetworkCreate wanted;
  wanted.name = "lab";
  wanted.subnet = "10.20.0.0/24";
  const auto network = daemon.create_network(wanted);
  ASSERT_TRUE(network) << network.error().message;
  EXPECT_EQ(network->subnet, "10.20.0.0/24");
  EXPECT_EQ(daemon.list_networks()->networks.size(), 1U);
  EXPECT_EQ(daemon.show_network("lab")->name, "lab");
  api::InviteRequest request;
  request.name = "laptop";
  ASSERT_TRUE(daemon.invite("lab", request));
  EXPECT_EQ(daemon.list_peers("lab")->peers.size(), 1U);
  EXPECT_EQ(daemon.show_peer("lab", "laptop")->state, "invited");
  EXPECT_TRUE(daemon.revoke("lab", "laptop"));
  EXPECT_TRUE(daemon.status());
  EXPECT_FALSE(daemon.audit(10)->records.empty());
  EXPECT_TRUE(daemon.delete_network("lab"));
}

TEST(Daemon, GivesTheDaemonsErrorsAsTheyAre) {
  TestServer server;
  const Daemon daemon(server.socket_path());
  const auto missing = daemon.show_network("nope");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, base::ErrorKind::NotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("nope"));
  for (const char* name : {"a/b", "..", "%2e", "a b", "?x", "\xff", "a\r\nX: y"}) {
    const auto odd = daemon.show_network(name);
    ASSERT_FALSE(odd) << name;
    EXPECT_EQ(odd.error().kind, base::ErrorKind::NotFound) << name;
  }
}

TEST(Daemon, SaysThatItIsNotRunning) {
  ScratchDirectory scratch;
  const std::string path = scratch.path() + "/warren.sock";
  const auto absent = Daemon(path).status();
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind, base::ErrorKind::Unavailable);
  EXPECT_THAT(absent.error().message, HasSubstr("not running"));
  EXPECT_THAT(absent.error().hint, HasSubstr("warren daemon"));
  {
    auto listener = os::unix_listen(os::UnixType::Stream, path, 0600);
  }
  const auto dead = Daemon(path).status();  // a socket file that nobody listens on
  ASSERT_FALSE(dead);
  EXPECT_EQ(dead.error().kind, base::ErrorKind::Unavailable);
  EXPECT_EQ(Daemon(std::string(200, 'x')).status().error().kind, base::ErrorKind::Invalid);
}

TEST(Daemon, DoesNotWaitForEver) {
  ScratchDirectory scratch;
  const std::string path = scratch.path() + "/warren.sock";
  const auto silent = os::unix_listen(os::UnixType::Stream, path, 0600);
  ASSERT_TRUE(silent);
  const auto answer = Daemon(path, std::chrono::milliseconds(100)).status();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, base::ErrorKind::Unavailable);
  EXPECT_THAT(answer.error().message, HasSubstr("no answer in time"));
}

TEST(Join, WritesAProfileThatOnlyItsOwnerReads) {
  TestServer server;
  server.create_network("lab");
  Member member;
  const auto joined = member.join(server.token("lab", "laptop"));
  ASSERT_TRUE(joined) << joined.error().message;
  EXPECT_EQ(joined->profile, "lab");
  EXPECT_THAT(files_in(member.directory()), profile_files("lab"));
  EXPECT_EQ(mode_of(member.directory()), 0700U);
  EXPECT_EQ(mode_of(joined->conf_path), 0600U);
  EXPECT_EQ(mode_of(member.directory() + "/lab.warren.json"), 0600U);

  const auto conf = model::WgConf::parse(*os::read_file(joined->conf_path), "lab.conf");
  ASSERT_TRUE(conf) << conf.error().message;
  ASSERT_EQ(conf->peers.size(), 1U);
  EXPECT_EQ(conf->peers[0].public_key.base64(), joined->answer.gateway_key);
  EXPECT_FALSE(conf->interface.addresses.empty());
  EXPECT_TRUE(conf->interface.hooks.empty());
  const auto note = read_note(member.directory(), "lab");
  ASSERT_TRUE(note && *note);
  EXPECT_EQ((*note)->network, "lab");
  EXPECT_EQ((*note)->peer, "laptop");
  EXPECT_EQ((*note)->pin, server.identity.pin);
  EXPECT_EQ((*note)->gateways.at(0).to_string(), "10.20.0.1");
}

TEST(Join, ATakenProfileIsRefusedAndTheTokenWorksUnderAnotherName) {
  TestServer server;
  server.create_network("lab");
  Member member;
  ASSERT_TRUE(member.join(server.token("lab", "one")));
  const std::string before = *os::read_file(member.directory() + "/lab.conf");
  const model::TokenText token = server.token("lab", "two");
  const auto taken = member.join(token);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind, base::ErrorKind::Conflict);
  EXPECT_EQ(*os::read_file(member.directory() + "/lab.conf"), before);
  EXPECT_EQ(member.join(token, "lab").error().kind, base::ErrorKind::Conflict);
  EXPECT_EQ(member.join(token, "../x").error().kind, base::ErrorKind::Invalid);
  const auto second = member.join(token, "lab2");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_THAT(files_in(member.directory()),
              ElementsAre("lab.ca.crt", "lab.conf", "lab.crt", "lab.key", "lab.warren.json",
                          "lab2.ca.crt", "lab2.conf", "lab2.crt", "lab2.key", "lab2.warren.json"));
}

TEST(Join, TheSameTokenTwiceNamesTheProfileItMade) {
  TestServer server;
  server.create_network("lab");
  Member member;
  const auto token = server.token("lab", "one");
  ASSERT_TRUE(member.join(token, "home"));
  for (const auto& profile : {std::optional<std::string>(), std::optional<std::string>("other")}) {
    const auto again = member.join(token, profile);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().kind, base::ErrorKind::Conflict);
    EXPECT_EQ(again.error().message, "you joined already: profile home");
  }
  EXPECT_THAT(files_in(member.directory()), profile_files("home"));
}

TEST(Join, ARefusalLeavesNothing) {
  TestServer server;
  server.create_network("lab");
  Member member;
  model::TokenText token = server.token("lab", "laptop");
  token.secret[0] ^= 1;
  const auto refused = member.join(token);
  ASSERT_FALSE(refused);
  EXPECT_THAT(files_in(member.directory()), ElementsAre()) << refused.error().message;
}

TEST(Join, ALostAnswerKeepsTheKeyForTheNextTry) {
  TestServer server;
  server.create_network("lab");
  Member member;
  const model::TokenText token = server.token("lab", "laptop");
  model::TokenText unreachable = token;
  unreachable.enrol_at = "127.0.0.1:1";
  const auto lost = member.join(unreachable);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, base::ErrorKind::Unavailable);
  const auto left = files_in(member.directory());
  ASSERT_EQ(left.size(), 1U);
  EXPECT_THAT(left[0], EndsWith(".conf.pending"));
  EXPECT_EQ(mode_of(member.directory() + "/" + left[0]), 0600U);
  const auto pending =
      model::WgConf::parse(*os::read_file(member.directory() + "/" + left[0]), "pending");
  ASSERT_TRUE(pending);
  const model::ConfKey key = pending->interface.private_key.clone();

  // The gateway hears the key, but its answer gets lost.
  const base::PublicKey shown = crypto::public_key(crypto::PrivateKey(key.view()));
  const auto unheard = enrol(token, shown, os::wall_now());
  ASSERT_TRUE(unheard) << unheard.error().message;

  const auto joined = member.join(token);
  ASSERT_TRUE(joined) << joined.error().message;
  EXPECT_EQ(joined->answer.address, unheard->address);
  const auto conf = model::WgConf::parse(*os::read_file(joined->conf_path), "lab.conf");
  ASSERT_TRUE(conf);
  EXPECT_TRUE(std::ranges::equal(conf->interface.private_key.view(), key.view()));
  EXPECT_THAT(files_in(member.directory()), profile_files("lab"));
}

TEST(Join, AUsedTokenIsRefusedToAnotherMember) {
  TestServer server;
  server.create_network("lab");
  Member owner;
  Member thief;
  thief.random = control::testing::SeededRandom(8);
  const model::TokenText token = server.token("lab", "laptop");
  ASSERT_TRUE(owner.join(token));
  const auto refused = thief.join(token);
  ASSERT_FALSE(refused);
  EXPECT_THAT(files_in(thief.directory()), ElementsAre()) << refused.error().message;
}

TEST(Join, AnImpostorLearnsNothingAndCostsNoKey) {
  TestServer server;
  server.create_network("lab");
  Member member;
  model::TokenText token = server.token("lab", "laptop");
  token.pin[0] ^= 1;
  const auto refused = member.join(token);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, base::ErrorKind::NotPermitted);
  EXPECT_EQ(files_in(member.directory()).size(), 1U) << "the pending key stays";
  EXPECT_EQ(Daemon(server.socket_path()).show_peer("lab", "laptop")->state, "invited");
}

TEST(Profile, NothingFromTheGatewayReachesAFileUnchecked) {
  api::EnrolAnswer good;
  good.network = "lab";
  good.name = "laptop";
  good.address = "10.20.0.2/24";
  good.gateway = "10.20.0.1";
  good.gateway_key = base::PublicKey{{1}}.base64();
  good.endpoint = "gw.example.org:51820";
  good.routes = {"10.20.0.0/24"};
  ASSERT_TRUE(make_profile(good, {}));
  const std::string evil = "\nPostUp = touch /tmp/owned";
  for (std::string api::EnrolAnswer::* member :
       {&api::EnrolAnswer::network, &api::EnrolAnswer::name, &api::EnrolAnswer::address,
        &api::EnrolAnswer::gateway, &api::EnrolAnswer::gateway_key}) {
    api::EnrolAnswer bad = good;
    bad.*member += evil;
    EXPECT_FALSE(make_profile(bad, {}));
  }
  for (const std::string& endpoint :
       {"gw" + evil + ":51820", "gw.example.org:51820" + evil, std::string("gw#x:1"),
        std::string("gw x:1"), std::string("gw"), std::string(":1"), std::string("gw:0")}) {
    api::EnrolAnswer bad = good;
    bad.endpoint = endpoint;
    EXPECT_FALSE(make_profile(bad, {})) << endpoint;
  }
  for (auto list : {&api::EnrolAnswer::routes, &api::EnrolAnswer::dns}) {
    api::EnrolAnswer bad = good;
    (bad.*list).push_back("10.0.0.1" + evil);
    EXPECT_FALSE(make_profile(bad, {}));
  }
  for (const char* domain : {"-x", "10.20.0.256", "a b", "a:b", "", "lab.internal;"}) {
    api::EnrolAnswer bad = good;
    bad.dns = {domain};
    EXPECT_FALSE(make_profile(bad, {})) << domain;
  }
  api::EnrolAnswer traversal = good;
  traversal.network = "../../etc/x";
  EXPECT_FALSE(make_profile(traversal, {}));
}

TEST(Profile, HoldsNameServersDomainAndServices) {
  api::EnrolAnswer answer;
  answer.network = "lab";
  answer.name = "laptop";
  answer.address = "10.20.0.2/24";
  answer.gateway_key = base::PublicKey{{1}}.base64();
  answer.endpoint = "gw.example.org:51820";
  answer.dns = {"10.20.0.1", "fd00::1", "lab.internal"};
  answer.environment = {
      {"MQTT_BROKER", "mqtt.lab.internal"}, {"LD_PRELOAD", "x.so"}, {"A", "$(touch owned)"}};
  const auto profile = make_profile(answer, {});
  ASSERT_TRUE(profile) << profile.error().message;
  EXPECT_EQ(profile->conf.interface.dns_servers.size(), 2U);
  EXPECT_THAT(profile->conf.interface.dns_search, ElementsAre("lab.internal"));
  EXPECT_THAT(profile->note.environment,
              ElementsAre(model::Variable{"MQTT_BROKER", "mqtt.lab.internal"}));
}

TEST(Profile, LeaveRemovesOnlyWhatJoinMade) {
  TestServer server;
  server.create_network("lab");
  Member member;
  ASSERT_TRUE(member.join(server.token("lab", "laptop")));
  ASSERT_TRUE(
      os::write_file_atomically(member.directory() + "/office.conf", "[Interface]\n", 0600));
  EXPECT_THAT(*list_profiles(member.directory()), ElementsAre("lab", "office"));
  EXPECT_EQ(remove_profile(member.directory(), "office").error().kind, base::ErrorKind::NotFound);
  EXPECT_EQ(remove_profile(member.directory(), "nope").error().kind, base::ErrorKind::NotFound);
  EXPECT_TRUE(remove_profile(member.directory(), "lab"));
  EXPECT_THAT(files_in(member.directory()), ElementsAre("office.conf"));
}

TEST(ProfileNote, IsReadBackAsWritten) {
  ProfileNote note;
  note.network = "lab";
  note.peer = "laptop";
  note.gateways = {*base::IpAddress::parse("10.20.0.1"), *base::IpAddress::parse("fd00::1")};
  note.endpoint = "gw:51820";
  note.enrol_at = "gw:51800";
  note.pin.fill(0xab);
  note.joined_with = "0123456789abcdef";
  note.environment = {{"MQTT_BROKER", "10.20.0.5"}, {"MQTT_BROKER_PORT", "1883"}};
  const auto back = ProfileNote::parse(note.write());
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->gateways, note.gateways);
  EXPECT_EQ(back->pin, note.pin);
  EXPECT_EQ(back->joined_with, note.joined_with);
  EXPECT_EQ(back->environment, note.environment);
  for (const char* bad : {"", "[]", "{}", R"({"schema":1})", R"({"schema":2,"network":"lab"})"}) {
    EXPECT_FALSE(ProfileNote::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace warren::client
