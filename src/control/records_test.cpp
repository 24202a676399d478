#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <ranges>

#include "control/control_fakes.hpp"

namespace warren::control {
namespace {

using ::testing::ElementsAre;
using testing::Gateway;

std::vector<std::string> actions(const api::AuditList& list) {
  std::vector<std::string> out;
  for (const api::AuditEntry& record : list.records) out.push_back(record.action);
  return out;
}

TEST(Records, RecordsBecomeEventsOfTheirNetworks) {
  Gateway gateway;
  int told = 0;
  gateway.control->on_record([&told] { ++told; });
  ASSERT_TRUE(gateway.create("lab"));
  gateway.add_member("lab", "laptop");
  EXPECT_FALSE(gateway.create("lab"));
  ASSERT_TRUE(gateway.control->revoke("uid 0", "lab", "laptop"));
  EXPECT_EQ(told, 6) << "that every way in is closed is a record of its own";
  const auto events = gateway.control->events_after(0, 100);
  ASSERT_TRUE(events);
  std::vector<std::string> kinds;
  for (const api::Event& event : events->events) {
    kinds.push_back(event.kind);
    EXPECT_EQ(event.network, "lab");
  }
  EXPECT_THAT(kinds,
              ::testing::ElementsAre("change", "change", "enrol", "refused", "revoke", "change"));
  EXPECT_EQ(events->events[4].peer, "laptop");
  EXPECT_EQ(gateway.control->events_after(events->events[3].number, 100)->events.size(), 2U);
}

TEST(Records, ARecordIsOfTheNetworkThatItsTargetNames) {
  EXPECT_EQ(network_of("peer.revoke", "lab/laptop"), "lab");
  EXPECT_EQ(network_of("peers.add", "lab (3 peers)"), "lab");
  EXPECT_EQ(network_of("network.create", "lab"), "lab");
  EXPECT_EQ(network_of("forward.add", "8080/tcp to lab/web"), "lab");
  EXPECT_EQ(network_of("person.revoke", "lab/ann"), "lab");
  EXPECT_EQ(network_of("person.revoke-everywhere", "ann"), "");
  EXPECT_EQ(network_of("forward.delete", "8080/tcp to lab/web"), "lab");
  EXPECT_EQ(network_of("forward.delete", "8080/tcp"), "");
  EXPECT_EQ(network_of("token.create", "lab"), "");
  EXPECT_EQ(network_of("network.create", "../x"), "");
}

TEST(Records, ANetworkHasThoseOfItsNameSinceItWasMade) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  gateway.add_member("lab", "of-the-old-one");
  gateway.clock.time.ns += 1'000'000'000;
  ASSERT_TRUE(gateway.control->delete_network("uid 0", "lab"));
  gateway.clock.time.ns += 1'000'000'000;
  ASSERT_TRUE(gateway.create("other", "10.30.0.0/24"));
  ASSERT_TRUE(gateway.create("lab"));
  gateway.add_member("lab", "laptop");
  gateway.add_member("other", "secret");
  const auto newest = gateway.control->audit_of("lab", 100);
  ASSERT_TRUE(newest);
  EXPECT_THAT(actions(*newest), ElementsAre("peer.enrol", "peer.invite", "network.create"));
  const auto following = gateway.control->audit_of_after("lab", 0, 100);
  ASSERT_TRUE(following);
  EXPECT_THAT(actions(*following), ElementsAre("network.create", "peer.invite", "peer.enrol"));
  const std::uint64_t last = gateway.control->audit_span()->last;
  EXPECT_EQ(newest->through, last) << "whoever follows need not look at those of others again";
  EXPECT_EQ(following->through, last);
  for (const auto& record : newest->records) EXPECT_EQ(record.chain, "") << "it is of all";
  const auto events = gateway.control->events_after(0, 100, "lab");
  ASSERT_TRUE(events);
  EXPECT_EQ(events->events.size(), 3U);
  EXPECT_EQ(events->through, last);
  // A clock that was set back hides nothing of what happens now.
  gateway.clock.time.ns -= 10'000'000'000;
  ASSERT_TRUE(gateway.invite("lab", "phone"));
  EXPECT_EQ(gateway.control->audit_of("lab", 1)->records.at(0).target, "lab/phone");
}

TEST(Records, APortThatIsNoneMovesARecordToNoOtherNetwork) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  ASSERT_TRUE(gateway.create("other", "10.30.0.0/24"));
  EXPECT_FALSE(gateway.control->add_forward("token lab", "lab",
                                            {.from = "1/tcp to other/x", .peer = "y to other/z"}));
  EXPECT_FALSE(
      gateway.control->add_forward("token lab", "lab", {.from = "1/tcp", .peer = "y to other/z"}));
  EXPECT_FALSE(gateway.control->delete_forward("token lab", "1/tcp to other/x", "lab"));
  EXPECT_THAT(actions(*gateway.control->audit_of("other", 10)), ElementsAre("network.create"));
  EXPECT_EQ(gateway.control->audit_of("lab", 10)->records.size(), 3U);
}

TEST(Records, AForwardOfAnotherNetworkIsAsIfItWereNotThere) {
  Gateway gateway;
  ASSERT_TRUE(gateway.create("lab"));
  ASSERT_TRUE(gateway.create("other", "10.30.0.0/24"));
  gateway.add_member("other", "secret");
  ASSERT_TRUE(
      gateway.control->add_forward("uid 0", "other", {.from = "8080/tcp", .peer = "secret"}));
  const auto before = gateway.snapshot();
  for (const char* port : {"8080/tcp", "08080/tcp", "8080"}) {
    const auto held = gateway.control->delete_forward("token lab", port, "lab");
    std::string free_one = port;
    free_one.replace(free_one.find("8080"), 4, "8081");
    const auto free_port = gateway.control->delete_forward("token lab", free_one, "lab");
    ASSERT_FALSE(held || free_port) << port;
    std::string text = held.error().message;
    for (std::size_t at = 0; (at = text.find("8080")) != std::string::npos;) {
      text.replace(at, 4, "8081");
    }
    EXPECT_EQ(text, free_port.error().message);
    EXPECT_EQ(held.error().hint, free_port.error().hint);
    EXPECT_EQ(held.error().kind, base::ErrorKind::NotFound);
  }
  EXPECT_EQ(gateway.snapshot(), before);
  EXPECT_THAT(actions(*gateway.control->audit_of("other", 1)), ElementsAre("forward.add"));
  ASSERT_TRUE(gateway.control->delete_forward("token other", "08080/tcp", "other"));
  EXPECT_EQ(gateway.control->audit_of("other", 1)->records.at(0).target,
            "8080/tcp to other/secret");
}

TEST(Records, PageByPageTheyAreThoseOfTheNetworkAndNoOthers) {
  Gateway gateway;
  const std::vector<std::string> names = {"a", "b", "c"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    ASSERT_TRUE(gateway.create(names[i], "10." + std::to_string(20 + i) + ".0.0/24"));
  }
  const std::uint32_t seed = 20'250'612;
  std::mt19937 random(seed);
  for (int i = 0; i < 2000; ++i) {
    (void)gateway.control->rename_peer("uid 0", names[random() % 3], "nobody", {.name = "n"});
  }
  const auto all = gateway.control->events_after(0, 10'000);
  ASSERT_TRUE(all);
  for (const std::string& name : names) {
    std::vector<std::uint64_t> expected;
    for (const api::Event& event : all->events) {
      if (event.network == name) expected.push_back(event.number);
    }
    std::vector<std::uint64_t> heard;
    for (control::EventPage page{.events = {}, .through = 0, .more = true}; page.more;) {
      page = *gateway.control->events_after(page.through, 1 + random() % 70, name);
      for (const api::Event& event : page.events) heard.push_back(event.number);
    }
    EXPECT_EQ(heard, expected) << "seed " << seed;
    heard.clear();
    for (std::uint64_t at = 0; at < gateway.control->audit_span()->last;) {
      const auto page = gateway.control->audit_of_after(name, at, 1 + random() % 70);
      for (const auto& record : page->records) heard.push_back(record.number);
      at = page->through.value_or(0);
    }
    EXPECT_EQ(heard, expected) << "seed " << seed;
    heard.clear();
    const auto newest = gateway.control->audit_of(name, 10'000);
    for (const auto& record : newest->records) heard.push_back(record.number);
    EXPECT_TRUE(std::ranges::equal(heard, expected | std::views::reverse)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace warren::control
