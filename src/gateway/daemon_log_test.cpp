#include "gateway/daemon_log.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::gateway {
namespace {

using base::LogLevel;
using testing::HasSubstr;
using testing::Not;

TEST(DaemonLog, LinesCarryLevelOrPriority) {
  EXPECT_EQ(DaemonLog::line(DaemonLog::Stream::Plain, LogLevel::Warning, "control", "port taken"),
            "warning control: port taken");
  EXPECT_EQ(DaemonLog::line(DaemonLog::Stream::Journal, LogLevel::Error, "gateway", "x"),
            "<3>gateway: x");
}

TEST(DaemonLog, NobodyForgesALine) {
  EXPECT_EQ(DaemonLog::line(DaemonLog::Stream::Journal, LogLevel::Info, "server",
                            "name a\n<0>kernel: \x1b[2J"),
            "<6>server: name a\\n<0>kernel: \\x1b[2J");
}

TEST(DaemonLog, ModulesHaveLevelsOfTheirOwn) {
  const auto path =
      std::filesystem::temp_directory_path() / ("warren-log-" + std::to_string(getpid()));
  {
    DaemonLog log;
    ASSERT_TRUE(log.set({.level = LogLevel::Warning,
                         .modules = {{"control", LogLevel::Debug}},
                         .file = path.string()})
                    .has_value());
    log.write(LogLevel::Info, "gateway", "too quiet");
    log.write(LogLevel::Warning, "gateway", "loud");
    log.write(LogLevel::Debug, "control", "detail");
    EXPECT_FALSE(log.set({.file = "/dev/null/log"}).has_value());
    log.write(LogLevel::Error, "gateway", "still there");
  }
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_THAT(text.str(), HasSubstr("Z warning gateway: loud\n"));
  EXPECT_THAT(text.str(), HasSubstr("Z debug control: detail\n"));
  EXPECT_THAT(text.str(), HasSubstr("still there"));
  EXPECT_THAT(text.str(), Not(HasSubstr("too quiet")));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace warren::gateway
