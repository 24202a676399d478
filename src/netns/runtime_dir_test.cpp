#include "netns/runtime_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "netns/limits.hpp"
#include "netns/recent_ends.hpp"
#include "netns/runs.hpp"
#include "os/file.hpp"
#include "os/process.hpp"
#include "os/scratch_directory.hpp"

namespace warren::netns {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(directory))
    out.push_back(entry.path().filename());
  return out;
}

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

base::PublicKey key(std::uint8_t first) {
  base::PublicKey out;
  out.bytes[0] = first;
  return out;
}

/// A state as this process would write it.
RunState own_state(const std::string& name) {
  return {{"name", name},
          {"pid", std::to_string(getpid())},
          {"start_time", std::to_string(*os::process_start_time(getpid()))}};
}

TEST(State, IsReadAsItWasWrittenAndForItsOwnerAlone) {
  const os::ScratchDirectory place;
  const RunState state = {{"name", "lab"}, {"profile", "a=b"}, {"empty", ""}};
  ASSERT_TRUE(write_state(place / "lab.state", state));
  EXPECT_EQ(*read_state(place / "lab.state"), state);
  struct stat there{};
  ASSERT_EQ(stat((place / "lab.state").c_str(), &there), 0);
  EXPECT_EQ(there.st_mode & 0777, 0600U);
  EXPECT_THAT(names_in(place.path()), ElementsAre("lab.state")) << "no temporary file stays";
}

TEST(State, LinesThatSayNothingArePassedOver) {
  const os::ScratchDirectory place;
  write(place / "x", "no equals sign\n\n=value of nothing\nname=a\nname=b\nlast=without its end");
  const auto state = read_state(place / "x");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->at("name"), "a") << "the first counts";
  EXPECT_EQ(state->at("last"), "without its end");
  EXPECT_EQ(state->at(""), "value of nothing");
  EXPECT_EQ(state->size(), 3U);
}

TEST(LiveStates, AreThoseOfProcessesThatLive) {
  const os::ScratchDirectory place;
  ASSERT_TRUE(write_state(place / "mine.state", own_state("mine")));
  RunState other = own_state("reused");  // the number is another process's by now
  other["start_time"] = "1";
  ASSERT_TRUE(write_state(place / "reused.state", other));
  other["pid"] = "many";
  ASSERT_TRUE(write_state(place / "nonsense.state", other));
  write(place / "empty.state", "");
  write(place / "mine.lock", "");
  const auto live = live_states(place.path());
  ASSERT_TRUE(live);
  ASSERT_EQ(live->size(), 1U);
  EXPECT_EQ(live->front().at("name"), "mine");
}

TEST(FindRun, ByNameThenByProfileThenTheOnlyOne) {
  const os::ScratchDirectory place;
  EXPECT_EQ(find_run(place.path(), "").error().message, "there is no run");
  RunState one = own_state("one");
  one["profile"] = "two";
  ASSERT_TRUE(write_state(place / "one.state", one));
  EXPECT_EQ(find_run(place.path(), "")->at("name"), "one");
  EXPECT_EQ(find_run(place.path(), "two")->at("name"), "one");
  RunState two = own_state("two");
  two["profile"] = "one";
  ASSERT_TRUE(write_state(place / "two.state", two));
  EXPECT_EQ(find_run(place.path(), "two")->at("name"), "two") << "a name goes before a profile";
  EXPECT_EQ(find_run(place.path(), "one")->at("name"), "one");
  const auto several = find_run(place.path(), "");
  EXPECT_EQ(several.error().kind, base::ErrorKind::Conflict);
  EXPECT_THAT(several.error().message, HasSubstr("one, two"));
  EXPECT_EQ(find_run(place.path(), "three").error().kind, base::ErrorKind::NotFound);
}

TEST(RunLock, HoldsNameAndKeyAndLeavesNothing) {
  const os::ScratchDirectory place;
  {
    const auto first = RunLock::acquire({.directory = place.path(), .name = "a", .key = key(1)});
    ASSERT_TRUE(first) << first.error().message;
    const auto same_name =
        RunLock::acquire({.directory = place.path(), .name = "a", .key = key(2)});
    ASSERT_FALSE(same_name);
    EXPECT_EQ(same_name.error().kind, base::ErrorKind::Conflict);
    EXPECT_THAT(same_name.error().message,
                HasSubstr("the name `a` is in use by run a (process " + std::to_string(getpid())));
    const auto same_key = RunLock::acquire({.directory = place.path(), .name = "b", .key = key(1)});
    ASSERT_FALSE(same_key);
    EXPECT_THAT(same_key.error().message, HasSubstr("this profile's key is in use by run a"));
    EXPECT_THAT(same_key.error().hint, HasSubstr("warren stop a"));
    EXPECT_TRUE(RunLock::acquire({.directory = place.path(), .name = "c", .key = key(3)}));
  }
  EXPECT_THAT(names_in(place.path()), IsEmpty()) << "refused ones leave nothing, either";
  EXPECT_TRUE(RunLock::acquire({.directory = place.path(), .name = "a", .key = key(1)}));
}

TEST(RunLock, TheHostItselfIsNamedAsSuch) {
  const os::ScratchDirectory place;
  const auto held = RunLock::acquire({.directory = place.path(),
                                      .name = "lab",
                                      .key = key(1),
                                      .shared_keys = {},
                                      .holder = LockHolder::Host});
  ASSERT_TRUE(held);
  const auto run = RunLock::acquire({.directory = place.path(), .name = "x", .key = key(1)});
  EXPECT_THAT(run.error().message, HasSubstr("in use by `warren up lab`"));
  EXPECT_THAT(run.error().hint, HasSubstr("warren down lab"));
}

TEST(RunLock, AbandonedItRemovesNothing) {
  const os::ScratchDirectory place;
  {
    auto lock = RunLock::acquire({.directory = place.path(), .name = "a", .key = {}});
    ASSERT_TRUE(lock);
    ASSERT_TRUE(write_state(place / "a.state", own_state("a")));
    lock->abandon();
  }
  EXPECT_THAT(names_in(place.path()), UnorderedElementsAre("a.lock", "a.state"));
}

TEST(RemoveStale, TakesFilesOfTheDeadAndNoOthers) {
  const os::ScratchDirectory place;
  const std::string own_pid = place / "own.pid";
  const std::string foreign_pid = place / "foreign.pid";
  for (const auto& [name, pid_file, said] :
       std::initializer_list<std::tuple<std::string, std::string, const char*>>{
           {"dead", own_pid, "7\n"}, {"gone", foreign_pid, "8\n"}}) {
    write(place / (name + ".lock"), "7\n" + name + "\n");
    ASSERT_TRUE(write_state(place / (name + ".state"), {{"pid", "7"}, {"pid_file", pid_file}}));
    write(place / (name + ".sock"), "");
    write(place / (name + ".ctl"), "");
    write(pid_file, said);
  }
  write(place / "key-00.lock", "7\ndead\n");
  write(place / "other", "");
  const auto alive = RunLock::acquire({.directory = place.path(), .name = "alive", .key = key(1)});
  ASSERT_TRUE(alive);  // this looks for the dead on its way
  EXPECT_THAT(names_in(place.path()),
              UnorderedElementsAre("other", "foreign.pid", "alive.lock",
                                   "key-" + key(1).hex().substr(0, 32) + ".lock"))
      << "and a pid file that names another process stays";
}

TEST(RemoveStale, FollowsNoLink) {
  const os::ScratchDirectory place;
  const os::ScratchDirectory elsewhere;
  write(elsewhere / "precious", "x");
  fs::create_symlink(elsewhere / "precious", place / "a.lock");
  remove_stale(place.path());
  EXPECT_TRUE(fs::exists(elsewhere / "precious"));
  EXPECT_TRUE(fs::is_symlink(place / "a.lock"));
}

TEST(RecentEnds, CountsThoseWithinTheWindowAndWaitsLongerEachTime) {
  RecentEnds ends;
  base::Instant at{};
  EXPECT_EQ(ends.add(at), 1U);
  EXPECT_EQ(ends.pause(), base::Duration(0)) << "the first is replaced at once";
  at += kEngineEndWindow / 2;
  EXPECT_EQ(ends.add(at), 2U);
  EXPECT_EQ(ends.pause(), kEngineRestartPause);
  at += kEngineEndWindow / 2;
  EXPECT_EQ(ends.add(at), 3U) << "the window's own end is within it";
  at += base::Duration(1);
  EXPECT_EQ(ends.add(at), 3U) << "the first is forgotten";
  EXPECT_EQ(ends.pause(), 2 * kEngineRestartPause);
}

}  // namespace
}  // namespace warren::netns
