// A real dnsmasq in a network namespace of its own.
#include "services/name_server.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "os/file.hpp"
#include "os/netns_test_support.hpp"
#include "os/rtnl.hpp"
#include "os/scratch_directory.hpp"
#include "services/name_probe.hpp"

namespace warren::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr base::Duration kPatience = std::chrono::seconds(5);

base::IpAddress address(std::string_view text) { return *base::IpAddress::parse(text); }

class NameServerTest : public os::NetnsTest {
 protected:
  void SetUp() override {
    const auto program = find_name_server_program();
    if (!program) GTEST_SKIP() << program.error().message;
    program_ = *program;
    ASSERT_EQ(::chmod(scratch_.path().c_str(), 0755), 0);  // for the account of dnsmasq
    make_namespace();
    zone_.network = {0x01020304};
    zone_.network_name = network_;
    zone_.domain = "lab.internal";
    zone_.listen = {address("10.20.0.1")};
    zone_.subnets = {*base::Prefix::parse("10.20.0.0/24")};
    zone_.hosts = {{{"gateway"}, zone_.listen}};
  }
  void make_namespace() {
    auto made = os::create_named_netns("warren-" + network_);
    if (!made) GTEST_SKIP() << made.error().message;
    netns_ = std::move(*made);
    inside(netns_, [] {
      auto rtnl = os::Rtnl::open();
      ASSERT_TRUE(rtnl) << rtnl.error().message;
      const auto up = rtnl->set_up("lo", true);
      ASSERT_TRUE(up) << up.error().message;
      const auto has = rtnl->add_address("lo", *base::Prefix::parse("10.20.0.1/32"));
      ASSERT_TRUE(has) << has.error().message;
    });
  }
  void TearDown() override {
    std::ignore = end_recorded_name_server(scratch_.path(), zone_.network);
    if (netns_) std::ignore = os::delete_named_netns("warren-" + network_);
  }
  NameServer server() { return NameServer(program_, scratch_.path(), zone_.network, network_); }
  void serve(NameServer& server, bool is_another) {
    const auto served = server.serve(zone_, {});
    ASSERT_TRUE(served) << served.error().message;
    EXPECT_EQ(*served, is_another);
    const auto answers = server.wait_until_it_answers();
    ASSERT_TRUE(answers) << answers.error().message << " " << answers.error().hint;
  }
  std::vector<base::IpAddress> ask(std::string_view name) {
    const auto found = ask_name(netns_, zone_.listen[0], name, kPatience);
    EXPECT_TRUE(found) << found.error().message;
    return found.value_or(std::vector<base::IpAddress>{});
  }
  /// dnsmasq reads its files when the signal reaches it.
  void expect_soon(std::string_view name, const std::vector<base::IpAddress>& addresses) {
    for (int i = 0; i < 500 && ask(name) != addresses; ++i) {
      std::ignore = os::wait_readable(netns_, std::chrono::milliseconds(10));
    }
    EXPECT_EQ(ask(name), addresses) << name;
  }

  os::ScratchDirectory scratch_;
  std::string network_ = "t" + std::to_string(getpid());
  NameServerProgram program_;
  os::Fd netns_;
  model::NameZone zone_;
};

TEST_F(NameServerTest, FollowsItsZoneWithoutANewProcess) {
  NameServer one = server();
  serve(one, true);
  const pid_t pid = one.process().pid;
  EXPECT_THAT(ask("ann.lab.internal"), IsEmpty());
  zone_.hosts.push_back({{"ann"}, {address("10.20.0.2")}});
  serve(one, false);
  expect_soon("ann.lab.internal", {address("10.20.0.2")});
  expect_soon("ann", {address("10.20.0.2")});
  zone_.hosts.pop_back();
  serve(one, false);
  expect_soon("ann.lab.internal", {});
  EXPECT_EQ(one.process().pid, pid);
  EXPECT_THAT(one.differences(), IsEmpty());
  // A record of a service is read once: this takes another process.
  zone_.services = {{"mqtt", "tcp", "gateway", 1883}};
  serve(one, true);
  EXPECT_NE(one.process().pid, pid);
}

TEST_F(NameServerTest, IsAdoptedWithWhatItWasTold) {
  pid_t pid = 0;
  {
    NameServer first = server();
    serve(first, true);
    pid = first.process().pid;
  }
  zone_.hosts.push_back({{"ann"}, {address("10.20.0.2")}});
  NameServer second = server();
  serve(second, true);
  EXPECT_EQ(second.process().pid, pid);
  expect_soon("ann.lab.internal", {address("10.20.0.2")});
  ASSERT_TRUE(second.stop());
  EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), pid);  // of this test, not of the second one
  EXPECT_THAT(recorded_name_servers(scratch_.path()), IsEmpty());
}

TEST_F(NameServerTest, OneThatWasLeftBehindIsReplaced) {
  NameServer first = server();
  serve(first, true);
  // Somebody deleted the namespace, and it was made anew.
  ASSERT_TRUE(os::delete_named_netns("warren-" + network_));
  make_namespace();
  NameServer second = server();
  serve(second, true);
  EXPECT_NE(second.process().pid, first.process().pid);
  EXPECT_THAT(second.differences(), IsEmpty());
}

TEST_F(NameServerTest, OneThatRunsOtherwiseIsReplaced) {
  pid_t pid = 0;
  {
    NameServer first = server();
    serve(first, true);
    pid = first.process().pid;
  }
  zone_.domain = "other.internal";
  NameServer second = server();
  serve(second, true);
  EXPECT_NE(second.process().pid, pid);
  expect_soon("gateway.other.internal", zone_.listen);
  // Nobody's name now, and there is nobody to ask.
  EXPECT_FALSE(ask_name(netns_, zone_.listen[0], "gateway.lab.internal", kPatience));
}

TEST_F(NameServerTest, HasNoPrivilegesAndTellsWhyItCannotStart) {
  NameServer one = server();
  serve(one, true);
  const auto status = os::read_file("/proc/" + std::to_string(one.process().pid) + "/status");
  ASSERT_TRUE(status);
  EXPECT_THAT(*status, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(*status, HasSubstr("Gid:\t" + std::to_string(program_.gid)));
  zone_.listen = {address("10.20.0.99")};  // nobody's
  ASSERT_TRUE(one.serve(zone_, {}));
  const auto answers = one.wait_until_it_answers();
  ASSERT_FALSE(answers);
  EXPECT_THAT(answers.error().hint, HasSubstr("10.20.0.99"));
  EXPECT_THAT(one.reap(), HasSubstr("with code"));
}

TEST_F(NameServerTest, TheRecordsAreFoundAndEnded) {
  NameServer one = server();
  serve(one, true);
  EXPECT_THAT(recorded_name_servers(scratch_.path()), ElementsAre(zone_.network));
  const auto ended = end_recorded_name_server(scratch_.path(), zone_.network);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_TRUE(*ended);
  std::ignore = one.reap();
  EXPECT_FALSE(*end_recorded_name_server(scratch_.path(), zone_.network));
  EXPECT_THAT(one.differences(), ::testing::Contains(HasSubstr("missing: the name server")));
}

}  // namespace
}  // namespace warren::services
