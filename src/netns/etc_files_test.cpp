#include "netns/etc_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::netns {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<base::IpAddress> servers(std::initializer_list<const char*> texts) {
  std::vector<base::IpAddress> out;
  for (const char* text : texts) out.push_back(*base::IpAddress::parse(text));
  return out;
}

TEST(ResolvConf, HasTheServersInTheirOrderAndThenTheDomains) {
  EXPECT_EQ(resolv_conf(servers({"10.0.0.2", "fd00::1", "10.0.0.1"}), {"b.example", "a.example"}),
            "nameserver 10.0.0.2\nnameserver fd00::1\nnameserver 10.0.0.1\n"
            "search b.example a.example\n");
  EXPECT_EQ(resolv_conf(servers({"10.0.0.2"}), {}), "nameserver 10.0.0.2\n");
}

TEST(ResolvConf, WithoutServersIsACommentEvenWithDomains) {
  // Without any line glibc would ask 127.0.0.1; nsswitch.conf says that nobody is asked.
  const std::string text = resolv_conf({}, {"a.example"});
  EXPECT_EQ(text.front(), '#');
  EXPECT_THAT(text, Not(HasSubstr("search")));
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

TEST(NsswitchConf, NamesNoSourceButFilesAndDns) {
  for (const bool has_servers : {true, false}) {
    const std::string text = nsswitch_conf(has_servers);
    std::size_t databases = 0;
    for (std::size_t at = 0; at < text.size(); ++databases) {
      const std::size_t end = text.find('\n', at);
      ASSERT_NE(end, std::string::npos) << "every line ends";
      const std::string line = text.substr(at, end - at);
      at = end + 1;
      if (line.starts_with('#')) continue;
      const std::string sources = line.substr(line.find(": ") + 2);
      const bool hosts = line.starts_with("hosts: ");
      EXPECT_EQ(sources, hosts && has_servers ? "files dns" : "files") << line;
    }
    EXPECT_GE(databases, 12U);
    for (const char* database : {"passwd: ", "group: ", "hosts: ", "services: ", "initgroups: "}) {
      EXPECT_THAT(text, HasSubstr(std::string("\n") + database));
    }
  }
}

TEST(EtcFiles, AreTheRunsOwn) {
  RunConfig config;
  config.dns_servers = servers({"10.0.0.2"});
  config.addresses = {*base::Prefix::parse("10.0.0.9/24")};
  const EtcFiles files = etc_files(config);
  EXPECT_EQ(files.at("resolv.conf"), "nameserver 10.0.0.2\n");
  EXPECT_EQ(files.at("nsswitch.conf"), nsswitch_conf(true));
  EXPECT_TRUE(files.at("hosts").starts_with("127.0.0.1 localhost\n::1 localhost"));
  // The machine's own name leads to the run's address, as programs expect that it leads somewhere.
  char name[256] = {};
  ASSERT_EQ(gethostname(name, sizeof name - 1), 0);
  if (std::string_view(name) == "localhost" || name[0] == '\0') return;
  EXPECT_THAT(files.at("hosts"), HasSubstr("\n10.0.0.9 " + std::string(name) + "\n"));
  config.addresses.clear();
  EXPECT_THAT(etc_files(config).at("hosts"), HasSubstr("\n127.0.1.1 " + std::string(name) + "\n"));
}

}  // namespace
}  // namespace warren::netns
