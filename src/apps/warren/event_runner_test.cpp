#include "apps/warren/event_runner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/scratch_directory.hpp"

namespace warren::app {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Events : public ::testing::Test {
 protected:
  std::string program(const std::string& text) {
    const std::string path = place_ / "act";
    std::ofstream(path) << "#!/bin/sh\n" << text;
    chmod(path.c_str(), 0755);
    return path;
  }
  EventRunner runner(const std::string& text, EventLimits limits = {}) {
    return EventRunner(program(text), std::nullopt, limits,
                       [this](const std::string& what) { said_.push_back(what); });
  }
  static bool until(EventRunner& runner, const std::function<bool()>& condition) {
    const base::Instant deadline = os::now() + std::chrono::seconds(30);
    while (!condition() && os::now() < deadline) {
      runner.tick();
      poll(nullptr, 0, 5);
    }
    return condition();
  }
  std::size_t lines_of(const std::string& name) const {
    const std::string text = os::read_file(place_ / name, 1 << 20).value_or("");
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
  }
  os::ScratchDirectory place_;
  std::vector<std::string> said_;
};

TEST_F(Events, AProgramHasItsEventAndLittleElse) {
  setenv("WARREN_TEST_SECRET", "x", 1);
  EventRunner one = runner("out=" + place_.path() + "/out\n{ cat; pwd; env; } > $out\n");
  one.take("{\"kind\":\"connect\"}");
  ASSERT_TRUE(until(one, [&] { return one.is_idle(); }));
  unsetenv("WARREN_TEST_SECRET");
  const std::string out = *os::read_file(place_ / "out", 1 << 20);
  EXPECT_TRUE(out.starts_with("{\"kind\":\"connect\"}\n/\n")) << out;
  EXPECT_THAT(out, Not(HasSubstr("WARREN")));
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(Events, NoMoreRunAtOnceThanMayAndNoMoreWait) {
  EventRunner one = runner("echo >> " + place_.path() + "/began\nwhile [ ! -e " + place_.path() +
                               "/go ]; do sleep 0.02; done\n",
                           {.at_once = 2, .waiting = 3});
  for (int number = 0; number < 8; ++number) one.take("{}");
  ASSERT_TRUE(until(one, [&] { return lines_of("began") == 2; }));
  EXPECT_THAT(said_, ElementsAre(HasSubstr("some are dropped"))) << "of 8 two run and three wait";
  EXPECT_EQ(lines_of("began"), 2U);
  std::ofstream(place_ / "go") << "";
  ASSERT_TRUE(until(one, [&] { return one.is_idle(); }));
  EXPECT_EQ(lines_of("began"), 5U);
  EXPECT_THAT(said_, ElementsAre(HasSubstr("some are dropped"), "3 events were dropped"));
}

TEST_F(Events, OneThatTakesTooLongIsKilledWithWhatItStarted) {
  EventRunner one = runner("sleep 600 & echo $! > " + place_.path() + "/child\nwait\n",
                           {.longest = std::chrono::milliseconds(1500)});
  one.take("{}");
  ASSERT_TRUE(until(one, [&] { return one.is_idle(); }));
  EXPECT_THAT(said_, ElementsAre(EndsWith("took too long and was killed")));
  const std::string child = *os::read_file(place_ / "child", 100);
  const std::string its = "/proc/" + child.substr(0, child.find('\n')) + "/cmdline";
  // A dead one that nobody has waited for yet has an empty command line.
  ASSERT_TRUE(until(one, [&] { return os::read_file(its, 100).value_or("").empty(); }));
}

TEST_F(Events, AFailureIsSaid) {
  EventRunner one = runner("exit 7\n");
  one.take("{}");
  ASSERT_TRUE(until(one, [&] { return one.is_idle(); }));
  EXPECT_THAT(said_, ElementsAre(EndsWith("ended with 7")));
  EventRunner none((place_ / "no-such-program"), std::nullopt, {},
                   [this](const std::string& what) { said_.push_back(what); });
  none.take("{}");
  ASSERT_TRUE(until(none, [&] { return none.is_idle(); }));
  EXPECT_THAT(said_, Contains(HasSubstr("No such file")));
}

TEST_F(Events, AProgramIsFoundAsAShellWouldFindItWhereverItRunsLater) {
  EXPECT_THAT(*find_program("sh"), EndsWith("/sh"));
  EXPECT_EQ(find_program("no-such-program-at-all").error().kind, base::ErrorKind::NotFound);
  EXPECT_FALSE(find_program(place_ / "missing"));
  program("true\n");
  const fs::path here = fs::current_path();
  fs::current_path(place_.path());
  const auto found = find_program("./act");
  fs::current_path(here);
  ASSERT_TRUE(found);
  EXPECT_TRUE(fs::equivalent(*found, place_ / "act")) << *found;
}

}  // namespace
}  // namespace warren::app
