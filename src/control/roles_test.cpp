// Roles and policies as an administrator meets them, over a gateway in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/control_fakes.hpp"

namespace warren::control {
namespace {

using base::ErrorKind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Project : testing::Gateway {
  Project() {
    EXPECT_TRUE(control->create_network(
        "uid 0", {.name = "lab",
                  .subnet = "10.220.0.0/16",
                  .roles = {{.name = "management", .range = "10.220.0.0/24"},
                            {.name = "node", .range = "10.220.1.0/29", .max_members = 4}},
                  .default_role = std::nullopt}));
  }
  base::Result<api::PeerView> add(const std::string& name, const std::string& role = "",
                                  const std::vector<std::string>& addresses = {}) {
    return control->add_peer(
        "uid 0", "lab",
        {.name = name, .role = role, .public_key = new_key().base64(), .addresses = addresses});
  }
  base::Result<api::PolicyView> set(const std::vector<std::string>& lines) {
    return control->set_policy("uid 0", "lab", {lines});
  }
  std::string ask(const std::string& from, const std::string& to, const std::string& port) {
    const auto answer = control->test_policy("lab", {from, to, port});
    if (!answer) return answer.error().message;
    return (answer->allowed ? "allow " : "deny ") + std::to_string(answer->line);
  }
  /// What the kernel holds: nullptr where there is no policy.
  const model::PolicyTable* table() {
    const auto found = host.facts.find("policy warren-lab");
    if (found == host.facts.end()) return nullptr;
    return &std::get<plan::PolicyFilter>(found->second).table;
  }
  model::PolicyGroup group(const std::string& address) {
    return table()->group_of(*base::IpAddress::parse(address));
  }
  template <typename Change>
  base::Error refused(Change change) {
    const Snapshot before = snapshot();
    const auto result = change();
    EXPECT_FALSE(result);
    EXPECT_EQ(before, snapshot());
    return result ? base::Error{} : base::Error(result.error());
  }
};

TEST(Roles, HandOutAddressesOfTheirRange) {
  Project lab;
  EXPECT_EQ(lab.add("n1", "node")->address, "10.220.1.1");
  EXPECT_EQ(lab.add("m1", "management")->address, "10.220.0.2");
  EXPECT_EQ(lab.add("x1")->address, "10.220.1.8");
  EXPECT_EQ(lab.add("x1b", "member")->role, "member");
  EXPECT_EQ(lab.add("n2", "node", {"10.220.1.5"})->address, "10.220.1.5");
  const auto outside = lab.refused([&] { return lab.add("n3", "node", {"10.220.2.1"}); });
  EXPECT_EQ(outside.kind, ErrorKind::Invalid);
  EXPECT_THAT(outside.message, HasSubstr("outside 10.220.1.0-10.220.1.7, the range of role node"));
  const auto theirs = lab.refused([&] { return lab.add("x2", "", {"10.220.1.6"}); });
  EXPECT_THAT(theirs.message, HasSubstr("the range of role node"));
  const auto nobody = lab.refused([&] { return lab.add("x3", "nod"); });
  EXPECT_THAT(nobody.message, HasSubstr("has no role \"nod\""));
  EXPECT_THAT(nobody.hint, HasSubstr("did you mean node?"));
  const auto invitation = lab.control->invite("uid 0", "lab", {.name = "n9", .role = "node"});
  ASSERT_TRUE(invitation);
  EXPECT_EQ(lab.control->show_peer("lab", "n9")->address, "10.220.1.2");
  EXPECT_EQ(lab.add("n0", "node", {"10.220.1.0"})->address, "10.220.1.0") << "who asks gets it";
}

TEST(Roles, AFullRangeIsRefusedAndFreeAgainAtOnce) {
  Project lab;
  const auto reserve = std::vector<std::string>{"10.220.1.4/30"};
  ASSERT_TRUE(lab.control->set_network("uid 0", "lab", {.reserve = reserve}));
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(lab.add(name, "node"));
  ASSERT_TRUE(lab.add("d", "node", {"10.220.1.0"}));
  EXPECT_THAT(lab.refused([&] { return lab.add("e", "node"); }).message,
              HasSubstr("role node of network lab has 4 members, and may have 4"));
  ASSERT_TRUE(lab.control->set_role("uid 0", "lab", "node", {.max_members = 0}));
  const auto full = lab.refused([&] { return lab.add("e", "node"); });
  EXPECT_EQ(full.kind, ErrorKind::Conflict);
  EXPECT_THAT(
      full.message,
      HasSubstr("the range 10.220.1.0-10.220.1.7 of role node is full: 4 addresses are "
                "used by members, 4 are reserved (10.220.1.4-10.220.1.7); its first and last "
                "address are given only to who asks for them"));
  ASSERT_TRUE(lab.control->revoke("uid 0", "lab", "b"));
  EXPECT_EQ(lab.add("e", "node")->address, "10.220.1.2");
}

TEST(Roles, KeepApartAndKeepTheirMembers) {
  Project lab;
  ASSERT_TRUE(lab.add("n1", "node"));
  ASSERT_TRUE(lab.add("x1", "", {"10.220.9.9"}));
  const auto set = [&](const std::string& role, const std::string& range) {
    return lab
        .refused([&] { return lab.control->set_role("uid 0", "lab", role, {.range = range}); })
        .message;
  };
  EXPECT_THAT(set("node", "10.220.0.128-10.220.1.0"), HasSubstr("that of role management"));
  EXPECT_THAT(set("node", "10.220.2.0/24"), HasSubstr("n1 has the address 10.220.1.1, which is "
                                                      "outside the range"));
  EXPECT_THAT(set("management", "10.220.9.0/24"), HasSubstr("inside the range"));
  EXPECT_THAT(set("node", "10.99.0.0/24"), HasSubstr("not inside the network's subnet"));
  EXPECT_THAT(set("node", "fd00::/64"), HasSubstr("no range of IPv4"));
  const auto remove = [&](const std::string& role) {
    return lab.refused([&] { return lab.control->delete_role("uid 0", "lab", role); }).message;
  };
  EXPECT_THAT(remove("node"), HasSubstr("role node has 1 members"));
  EXPECT_THAT(remove("member"), HasSubstr("every network has the role"));
  ASSERT_TRUE(lab.control->set_network("uid 0", "lab", {.default_role = "management"}));
  EXPECT_EQ(lab.add("m1")->role, "management");
  EXPECT_THAT(remove("management"), HasSubstr("is what members of network lab get"));
  EXPECT_THAT(
      lab.refused([&] { return lab.control->add_role("uid 0", "lab", {.name = "node"}); }).message,
      HasSubstr("has a role node already"));
  EXPECT_THAT(
      lab.refused([&] { return lab.control->add_role("uid 0", "lab", {.name = "any"}); }).message,
      HasSubstr("cannot be called"));
  // Numbers are not given twice, so that a group of the kernel never means two roles.
  ASSERT_TRUE(lab.control->add_role("uid 0", "lab", {.name = "late"}));
  lab.restart();
  EXPECT_EQ(lab.control->list_roles("lab")->roles.size(), 4U);
  const auto state = lab.state();
  EXPECT_EQ(state.networks.begin()->second.network.roles[0].number, 3U);  // late
}

TEST(Roles, EndTheirMemberships) {
  Project lab;
  ASSERT_TRUE(lab.control->set_role("uid 0", "lab", "node", {.expires_s = 3600}));
  const std::int64_t end = lab.clock.time.seconds() + 3600;
  EXPECT_EQ(lab.add("n1", "node")->expires, end);
  const auto key = lab.control->invite("uid 0", "lab", {.name = "n2", .role = "node"});
  ASSERT_TRUE(lab.enrol(key->token, lab.new_key()));
  EXPECT_EQ(lab.control->show_peer("lab", "n2")->expires, end);
}

TEST(Policies, AreInForceWhenSetAndAfterARestart) {
  Project lab;
  ASSERT_TRUE(lab.add("n1", "node"));
  ASSERT_TRUE(lab.add("broker", "management"));
  EXPECT_EQ(lab.table(), nullptr);
  EXPECT_EQ(lab.ask("n1", "broker", "tcp/22"), "allow 0");
  const auto set =
      lab.set({"rules:", "  - node -> broker: tcp 1883", "  - internet -> n1: tcp 80"});
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_TRUE(set->in_force);
  EXPECT_THAT(set->warnings, IsEmpty());
  ASSERT_NE(lab.table(), nullptr);
  EXPECT_EQ(lab.ask("n1", "broker", "tcp/1883"), "allow 2");
  EXPECT_EQ(lab.ask("node", "broker", "tcp/1883"), "allow 2");
  EXPECT_EQ(lab.ask("n1", "broker", "tcp/22"), "deny 0");
  EXPECT_EQ(lab.ask("broker", "n1", "tcp/1883"), "deny 0");
  EXPECT_EQ(lab.ask("internet", "n1", "tcp/80"), "allow 3");
  EXPECT_THAT(lab.ask("n1", "brokr", "tcp/22"),
              HasSubstr("has no role, peer or service \"brokr\""));
  EXPECT_THAT(lab.ask("n1", "broker", "22"), HasSubstr("is nothing to ask for"));
  EXPECT_TRUE(lab.table()->allows(lab.group("10.220.1.1"), lab.group("10.220.0.2"), 6, 1883));
  const auto before = lab.snapshot();
  lab.host.facts.clear();
  lab.restart();
  EXPECT_EQ(lab.snapshot(), before);
  EXPECT_THAT(lab.host.cut, ElementsAre("lab"));
  ASSERT_TRUE(lab.control->clear_policy("uid 0", "lab"));
  EXPECT_EQ(lab.table(), nullptr);
}

TEST(Policies, AServiceIsAskedForByItsName) {
  Project lab;
  ASSERT_TRUE(lab.add("n1", "node"));
  ASSERT_TRUE(lab.add("broker", "management"));
  ASSERT_TRUE(lab.set({"services:", "  mqtt: {peer: broker, port: 1883}",
                       "  files: {peer: broker, port: 8000-8010}", "  upload: tcp 9000",
                       "rules:", "  - node -> mqtt", "  - node -> broker: tcp 8000-8004, tcp 9000",
                       "  - management -> broker: tcp 8000-8004, tcp 8005-8010"}));
  EXPECT_EQ(lab.ask("n1", "mqtt", ""), "allow 6");
  EXPECT_EQ(lab.ask("n1", "mqtt", "tcp/1883"), "allow 6");
  EXPECT_EQ(lab.ask("n1", "mqtt", "tcp/22"), "deny 0");
  EXPECT_EQ(lab.ask("broker", "mqtt", ""), "deny 0");
  EXPECT_EQ(lab.ask("n1", "broker", "mqtt"), "allow 6");
  EXPECT_EQ(lab.ask("n1", "broker", "upload"), "allow 7");
  // All of its ports count, whichever rules they are of.
  EXPECT_EQ(lab.ask("n1", "files", ""), "deny 0");
  EXPECT_THAT(lab.control->test_policy("lab", {.from = "n1", .to = "files", .port = ""})->reason,
              HasSubstr("tcp/8005: "));
  EXPECT_THAT(lab.ask("management", "files", ""), HasSubstr("allow"));
  EXPECT_THAT(lab.ask("n1", "upload", ""), HasSubstr("service upload is nobody's"));
  EXPECT_THAT(lab.ask("n1", "broker", ""), HasSubstr("not said what shall be opened"));
  const auto hint = [&](const char* from, const char* to, const char* port) {
    return lab.control->test_policy("lab", {.from = from, .to = to, .port = port}).error().hint;
  };
  // That a name is taken is said before what the policy says of it.
  EXPECT_THAT(lab.control->rename_peer("uid 0", "lab", "n1", {.name = "broker"}).error().message,
              ::testing::Not(HasSubstr("policy")));
  EXPECT_EQ(hint("node", "managment", "tcp/22"), "did you mean management?");
  EXPECT_EQ(hint("nod", "broker", "tcp/22"), "did you mean node?");
  EXPECT_EQ(hint("n1", "mqt", ""), "did you mean mqtt?");
  EXPECT_EQ(hint("n1", "broker", "uplod"), "did you mean upload?");
  EXPECT_EQ(hint("mqqt", "broker", "tcp/22").find("mqtt"), std::string::npos);  // asks for nothing
}

TEST(Roles, HintsAreOfWhatCanBeDone) {
  testing::Gateway gateway;
  api::NetworkCreate request{.name = "g1", .subnet = "10.20.0.0/24"};
  request.default_role = "nope";
  const auto refused = gateway.control->create_network("uid 0", request);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().hint, HasSubstr("along with the network: --role nope"));
  request.default_role.reset();
  request.max_members = 1;
  ASSERT_TRUE(gateway.control->create_network("uid 0", request));
  ASSERT_TRUE(gateway.invite("g1", "ann"));
  const auto full = gateway.invite("g1", "bob");
  ASSERT_FALSE(full);
  EXPECT_THAT(full.error().hint, HasSubstr("warren network set g1 --max-members"));
}

TEST(Policies, FollowTheMembers) {
  Project lab;
  ASSERT_TRUE(lab.add("n1", "node"));
  ASSERT_TRUE(lab.set({"rules:", "  - node -> any: tcp 22", "  - n1 -> management: udp 53"}));
  const auto rules = lab.table()->rules;
  const std::size_t steps = lab.host.applied;
  const auto n2 = lab.add("n2", "node");
  ASSERT_TRUE(n2);
  EXPECT_EQ(lab.group(n2->address), model::kFirstRoleGroup + 2);  // management, node
  EXPECT_EQ(lab.group(n2->address6), lab.group(n2->address));
  EXPECT_EQ(lab.table()->rules, rules);
  EXPECT_EQ(lab.host.applied, steps) << "a member is no plan";
  const auto revoked = lab.control->revoke("uid 0", "lab", "n2");
  ASSERT_TRUE(revoked);
  EXPECT_EQ(revoked->steps[2].step, "policy");
  EXPECT_EQ(lab.group(n2->address), 0U);
  // One that the rules name takes its own along.
  ASSERT_TRUE(lab.control->revoke("uid 0", "lab", "n1"));
  EXPECT_LT(lab.table()->rules.size(), rules.size());
  EXPECT_THAT(lab.control->show_policy("lab")->warnings,
              ElementsAre("line 3: nobody is called n1 now"));
  ASSERT_TRUE(lab.add("n1", "node"));
  EXPECT_EQ(lab.table()->rules.size(), rules.size());
  EXPECT_TRUE(lab.control->verify("lab")->differences.empty());
}

TEST(Policies, RefuseWhatIsUnknownAndChangeNothing) {
  Project lab;
  ASSERT_TRUE(lab.add("broker", "management"));
  ASSERT_TRUE(lab.set({"rules: []"}));
  const auto refused = [&](const std::vector<std::string>& lines) {
    return lab.refused([&] { return lab.set(lines); });
  };
  const auto typo = refused({"rules:", "  - nodes -> broker: tcp 1"});
  EXPECT_EQ(typo.kind, ErrorKind::Invalid);
  EXPECT_THAT(typo.message,
              HasSubstr("line 2, column 5: network lab has no role or peer \"nodes\""));
  EXPECT_THAT(typo.hint, HasSubstr("did you mean node?"));
  EXPECT_THAT(refused({"rule: []"}).message, HasSubstr("line 1, column 1"));
  EXPECT_THAT(refused({}).message, HasSubstr("line 1, column 1"));
  ASSERT_TRUE(lab.set({"rules:", "  - node -> broker: tcp 1"}));
  const auto rename = lab.refused(
      [&] { return lab.control->rename_peer("uid 0", "lab", "broker", {.name = "b2"}); });
  EXPECT_THAT(rename.message, HasSubstr("the policy of network lab names broker (line 2)"));
  EXPECT_THAT(lab.refused([&] { return lab.control->delete_role("uid 0", "lab", "node"); }).message,
              HasSubstr("names node (line 2)"));
  EXPECT_THAT(lab.refused([&] { return lab.control->add_role("uid 0", "lab", {.name = "broker"}); })
                  .message,
              HasSubstr("names broker"));
}

TEST(Policies, AreDenialsThatAreRetriedUntilTheyAreInForce) {
  Project lab;
  ASSERT_TRUE(lab.add("n1", "node"));
  ASSERT_TRUE(lab.set({"rules:", "  - any -> any: any"}));
  lab.host.failing = {lab.host.applied};
  const auto failed = lab.set({"rules: []"});
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("stored, but not in force yet"));
  EXPECT_FALSE(lab.control->show_policy("lab")->in_force);
  EXPECT_EQ(lab.ask("n1", "n1", "tcp/1"), "deny 0") << "what is declared is what is answered";
  EXPECT_FALSE(lab.table()->rules.empty());
  EXPECT_FALSE(lab.control->verify("")->differences.empty());
  EXPECT_FALSE(lab.control->status().problems.empty());
  EXPECT_TRUE(lab.control->retry_pending());
  EXPECT_TRUE(lab.table()->rules.empty());
  EXPECT_TRUE(lab.control->show_policy("lab")->in_force);
}

TEST(Verify, NamesEachDifference) {
  Project lab;
  ASSERT_TRUE(lab.add("n1", "node"));
  ASSERT_TRUE(lab.set({"rules:", "  - node -> any: tcp 22"}));
  const auto found = [&] {
    std::vector<std::string> out;
    const auto report = lab.control->verify("lab");
    for (const auto& d : report->differences) out.push_back(d.part + " " + d.what);
    return out;
  };
  EXPECT_THAT(found(), IsEmpty());
  auto& table = std::get<plan::PolicyFilter>(lab.host.facts.at("policy warren-lab")).table;
  const auto kept = table;
  table.members.erase(table.members.begin());
  EXPECT_THAT(found(), ElementsAre(HasSubstr("policy missing: 10.220.0.1 : 2 in groups4")));
  table = kept;
  lab.host.strangers["warren-lab"] = {"nft table ip evil"};
  EXPECT_THAT(found(), ElementsAre("host unexpected: nft table ip evil"));
  lab.host.strangers.clear();
  auto& engine = lab.engines.running.begin()->second;
  const auto member = *engine.begin();
  engine[member.first].push_back(*base::Prefix::parse("0.0.0.0/0"));
  EXPECT_THAT(found(),
              ElementsAre(HasSubstr("engine different: n1 may use 0.0.0.0/0 10.220.1.1/32")));
  engine.erase(member.first);
  EXPECT_THAT(found(), ElementsAre(HasSubstr("engine missing: peer n1")));
  engine.insert(member);
  engine[lab.new_key()];
  EXPECT_THAT(found(), ElementsAre(HasSubstr("engine unexpected: peer")));
  EXPECT_EQ(lab.control->verify("lba").error().kind, ErrorKind::NotFound);
}

}  // namespace
}  // namespace warren::control
