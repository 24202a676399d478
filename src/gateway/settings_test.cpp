#include "gateway/settings.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

namespace warren::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> problems_of(const std::string& text, Settings* settings = nullptr) {
  Settings parsed;
  std::vector<SettingsProblem> problems;
  parse_settings("w.yaml", text, parsed, problems);
  check_settings("w.yaml", parsed, problems);
  if (settings != nullptr) *settings = parsed;
  std::vector<std::string> out;
  for (const SettingsProblem& problem : problems) out.push_back(problem.to_string());
  return out;
}

TEST(Settings, EveryKeyIsRead) {
  Settings settings;
  EXPECT_THAT(problems_of("endpoint: vpn.example.org\n"
                          "enrol:\n  listen: 0.0.0.0:443\n  endpoint: vpn.example.org:443\n"
                          "ports: {first: 4000, last: 4999}\n"
                          "transit: {v4: 10.255.0.0/20, v6: fd00:1::/64}\n"
                          "log:\n  level: warning\n  modules: {control: debug}\n"
                          "  file: /var/log/warren.log\n"
                          "audit: {keep: 400d}\n",
                          &settings),
              IsEmpty());
  EXPECT_EQ(settings.endpoint, "vpn.example.org");
  EXPECT_EQ(settings.enrol_listen, "0.0.0.0:443");
  EXPECT_EQ(settings.enrol_endpoint, "vpn.example.org:443");
  EXPECT_EQ(settings.first_port, 4000);
  EXPECT_EQ(settings.last_port, 4999);
  EXPECT_EQ(settings.transit.v4.to_string(), "10.255.0.0/20");
  EXPECT_EQ(settings.transit.v6.to_string(), "fd00:1::/64");
  EXPECT_EQ(settings.log.level, base::LogLevel::Warning);
  EXPECT_EQ(settings.log.modules.at("control"), base::LogLevel::Debug);
  EXPECT_EQ(settings.log.file, "/var/log/warren.log");
  EXPECT_EQ(settings.audit_keep_s, 400U * 86'400);
  EXPECT_THAT(problems_of("audit: {keep: forever}\n", &settings), IsEmpty());
  EXPECT_EQ(settings.audit_keep_s, 0U);
  EXPECT_THAT(problems_of("audit: {keep: 400}\n"), ElementsAre(HasSubstr("no time span")));
}

TEST(Settings, NothingAndEmptySectionsMeanDefaults) {
  Settings settings;
  EXPECT_THAT(problems_of("", &settings), IsEmpty());
  EXPECT_EQ(settings.enrol_listen, "[::]:51800");
  EXPECT_THAT(problems_of("# only a comment\nlog:\n"), IsEmpty());
}

TEST(Settings, UnknownKeyIsNamedWithItsPlaceAndTheNearest) {
  EXPECT_THAT(problems_of("endpoint: a\nenrol:\n  lisen: '[::]:1'\n"),
              ElementsAre("w.yaml:3:3: unknown key 'lisen' in enrol (did you mean 'listen'?)"));
  EXPECT_THAT(
      problems_of("colour: blue\n"),
      ElementsAre(HasSubstr("(known: endpoint, enrol, admin, ports, transit, log, audit)")));
}

TEST(Settings, EveryProblemIsToldAtOnce) {
  EXPECT_THAT(problems_of("ports: {first: 70000, last: x}\nlog: {level: loud}\ntransit: 5\n"),
              ElementsAre(HasSubstr("w.yaml:1:16: 'first': '70000' is not a port"),
                          HasSubstr("w.yaml:1:29: 'last': 'x' is not a port"),
                          HasSubstr("w.yaml:2:14: 'level': 'loud' is no log level"),
                          HasSubstr("w.yaml:3:10: transit must be a mapping")));
}

TEST(Settings, RefusesWhatDoesNotFitItsKey) {
  EXPECT_THAT(problems_of("endpoint: [a, b]\n"), ElementsAre(HasSubstr("must be one value")));
  EXPECT_THAT(problems_of("endpoint: 'host:51820'\n"), ElementsAre(HasSubstr("without a port")));
  EXPECT_THAT(problems_of("endpoint: '2001:db8::1'\n"), IsEmpty());
  EXPECT_THAT(problems_of("enrol: {endpoint: '" + std::string(254, 'a') + ":1'}\n"),
              ElementsAre(HasSubstr("is not HOST:PORT")));
  EXPECT_THAT(problems_of("enrol: {listen: 'localhost:1'}\n"),
              ElementsAre(HasSubstr("not ADDRESS:PORT")));
  EXPECT_THAT(problems_of("transit: {v4: fd00::/64}\n"), ElementsAre(HasSubstr("IPv4 prefix")));
  EXPECT_THAT(problems_of("transit: {v4: 10.0.0.1/16}\n"), ElementsAre(HasSubstr("IPv4 prefix")));
  EXPECT_THAT(problems_of("transit: {v4: 10.0.0.0/31}\n"), ElementsAre(HasSubstr("too small")));
  EXPECT_THAT(problems_of("ports: {first: 9, last: 8}\n"), ElementsAre(HasSubstr("above last")));
  EXPECT_THAT(problems_of("endpoint: a\nendpoint: b\n"), ElementsAre(HasSubstr("given twice")));
  EXPECT_THAT(problems_of("log: {file: here.log}\n"), ElementsAre(HasSubstr("absolute")));
  EXPECT_THAT(problems_of("endpoint: [a\n"), ElementsAre(HasSubstr("not valid YAML")));
  EXPECT_THAT(problems_of("a: b: c\n"), ElementsAre(HasSubstr("w.yaml:1:5: not valid YAML")));
  EXPECT_THAT(problems_of("--- {}\n--- {}\n"), ElementsAre(HasSubstr("one document")));
}

TEST(Settings, DropInsOverrideSingleKeysInOrderOfTheirNames) {
  namespace fs = std::filesystem;
  const fs::path folder =
      fs::temp_directory_path() / ("warren-settings-" + std::to_string(getpid()));
  fs::create_directories(folder / "conf.d");
  const auto write = [&](const char* name, const char* text) {
    std::ofstream(folder / name) << text;
  };
  write("warren.yaml", "endpoint: main.example\nports: {first: 100}\n");
  write("conf.d/20.yaml", "endpoint: late.example\n");
  write("conf.d/10.yaml", "endpoint: early.example\nports: {last: 60000}\n");
  write("conf.d/30.txt", "nonsense");
  const LoadedSettings loaded = read_settings((folder / "warren.yaml").string());
  EXPECT_THAT(loaded.problems, IsEmpty());
  EXPECT_EQ(loaded.files.size(), 3U);
  EXPECT_EQ(loaded.settings.endpoint, "late.example");
  EXPECT_EQ(loaded.settings.first_port, 100);
  EXPECT_EQ(loaded.settings.last_port, 60000);
  write("conf.d/40.yaml", "x: 1\n");
  const auto failed = load_settings((folder / "warren.yaml").string());
  ASSERT_FALSE(failed.has_value());
  EXPECT_THAT(failed.error().message, HasSubstr("conf.d/40.yaml:1:1: unknown key 'x'"));
  EXPECT_FALSE(load_settings((folder / "absent.yaml").string()).has_value());
  fs::remove_all(folder);
}

}  // namespace
}  // namespace warren::gateway
