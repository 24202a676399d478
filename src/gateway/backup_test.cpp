#include "gateway/backup.hpp"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/state_directory.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/scratch_directory.hpp"

namespace warren::gateway {
namespace {

namespace fs = std::filesystem;
using base::ErrorKind;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Hosts : public testing::Test {
 protected:
  Hosts() {
    put("a/state/instance", "0123456789ab\n");
    put("a/state/identity.key", "the key");
    put("a/state/host.json", "of this host");
    put("a/state/warren.db", "the database");
    put("a/state/warren.db-wal", "of a running daemon");
    put("a/state/later.txt", "of a later version");
    put("a/etc/warren.yaml", "endpoint: a\n");
    put("a/etc/conf.d/x.yaml", "log: {level: debug}\n");
    put("a/etc/conf.d/ignored.txt", "");
  }
  void put(const std::string& name, const std::string& text) {
    const std::string path = scratch_ / name;
    (void)os::make_directories(fs::path(path).parent_path().string(), 0700);
    EXPECT_TRUE(os::write_file_atomically(path, text, 0600));
  }
  std::string get(const std::string& name) {
    return os::read_file(scratch_ / name).value_or("(none)");
  }
  base::Result<backup::Contents> gather() {
    return gather_backup({.state_dir = (scratch_ / "a/state") + "/",
                          .settings_file = scratch_ / "a/etc/warren.yaml",
                          .program = "warren test",
                          .now = {7},
                          .snapshot = [](const std::string& path) { return os::read_file(path); }});
  }
  base::Result<Restored> restore(const backup::Contents& contents, bool force = false) {
    return restore_backup(contents, {.state_dir = scratch_ / "b/state",
                                     .settings_file = scratch_ / "b/etc/warren.yaml",
                                     .force = force,
                                     .inspect = [this](const std::string& path) -> base::Status {
                                       inspected_ = os::read_file(path).value_or("");
                                       if (good_) return {};
                                       return base::make_error(ErrorKind::Invalid, "no good");
                                     }});
  }
  /// Everything below a directory but lock files.
  std::vector<std::string> below(const std::string& name) {
    std::vector<std::string> out;
    std::error_code error;
    for (fs::recursive_directory_iterator at(scratch_ / name, error), end; !error && at != end;
         at.increment(error)) {
      if (at->is_regular_file() && at->path().filename() != "lock") {
        out.push_back(fs::relative(at->path(), scratch_ / name).string());
      }
    }
    std::ranges::sort(out);
    return out;
  }

  os::ScratchDirectory scratch_;
  std::string inspected_;
  bool good_ = true;
};

TEST_F(Hosts, ABackupHoldsWhatCannotBeMadeAgain) {
  const auto contents = gather();
  ASSERT_TRUE(contents) << contents.error().message;
  std::vector<std::string> names;
  for (const backup::File& file : contents->files) names.push_back(file.name);
  EXPECT_THAT(names, ElementsAre("warren.db", "identity.key", "instance", "later.txt",
                                 "settings/warren.yaml", "settings/conf.d/x.yaml"));
}

TEST_F(Hosts, AStateIsRestoredWhereThereIsNone) {
  const auto done = restore(*gather());
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->aside, "");
  EXPECT_EQ(inspected_, "the database");
  EXPECT_THAT(below("b/state"), ElementsAre("identity.key", "instance", "later.txt", "warren.db"));
  EXPECT_EQ(get("b/etc/warren.yaml"), "endpoint: a\n");
  EXPECT_EQ(get("b/etc/conf.d/x.yaml"), "log: {level: debug}\n");
  EXPECT_EQ(done->settings.size(), 2U);
  EXPECT_EQ(fs::status(scratch_ / "b/state").permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(scratch_ / "b/state/identity.key").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(Hosts, AStateThatIsThereIsRefusedOrPutAside) {
  put("b/state/instance", "ffffffffffff\n");
  const backup::Contents contents = *gather();
  const auto refused = restore(contents);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Conflict);
  EXPECT_EQ(get("b/state/instance"), "ffffffffffff\n");
  const auto done = restore(contents, true);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(done->other_instance);
  EXPECT_EQ(done->aside, scratch_ / "b/state.before-restore");
  EXPECT_EQ(get("b/state.before-restore/instance"), "ffffffffffff\n");
  EXPECT_EQ(get("b/state/warren.db"), "the database");
  const auto again = restore(contents, true);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->other_instance);
  EXPECT_EQ(again->aside, scratch_ / "b/state.before-restore-2");
}

TEST_F(Hosts, TheRecordsOfTheHostStayWithTheHost) {
  put("b/state/instance", "0123456789ab\n");
  put("b/state/host.json", "of host b");
  ASSERT_TRUE(restore(*gather(), true));
  EXPECT_EQ(get("b/state/host.json"), "of host b");
}

TEST_F(Hosts, ADaemonThatRunsIsNotDisturbed) {
  const auto daemon = StateDirectory::open(scratch_ / "b/state");
  ASSERT_TRUE(daemon);
  const auto refused = restore(*gather(), true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Conflict);
  EXPECT_THAT(below("b"), IsEmpty());
}

TEST_F(Hosts, WhatIsNoGoodChangesNothing) {
  good_ = false;
  EXPECT_FALSE(restore(*gather()));
  backup::Contents contents = *gather();
  good_ = true;
  std::erase_if(contents.files, [](const auto& file) { return file.name == "identity.key"; });
  EXPECT_THAT(restore(contents).error().message, HasSubstr("lacks identity.key"));
  contents = *gather();
  contents.files.push_back({.name = "other/place", .content = ""});
  EXPECT_FALSE(restore(contents));
  EXPECT_THAT(below("b"), IsEmpty());
  EXPECT_FALSE(fs::exists(scratch_ / "b/state"));
}

TEST_F(Hosts, ABackupThatHoldsWhatIsOfAHostIsRefused) {
  for (const char* name : {"lock", "host.json", "warren.db-wal", "restore-unfinished"}) {
    backup::Contents contents = *gather();
    contents.files.push_back({.name = name, .content = ""});
    const auto refused = restore(contents);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().kind, ErrorKind::Invalid);
    EXPECT_THAT(refused.error().message, HasSubstr(name));
    EXPECT_THAT(below("b"), IsEmpty());
  }
}

TEST_F(Hosts, SettingsOfSomebodyAreLeftAlone) {
  put("b/etc/warren.yaml", "endpoint: b\n");
  const auto done = restore(*gather());
  ASSERT_TRUE(done);
  EXPECT_EQ(get("b/etc/warren.yaml"), "endpoint: b\n");
  EXPECT_THAT(done->kept_settings, ElementsAre(scratch_ / "b/etc/warren.yaml"));
  EXPECT_EQ(os::read_file(done->settings_copy + "/warren.yaml").value_or(""), "endpoint: a\n");
}

TEST_F(Hosts, WhatAnInterruptedRestoreLeftIsRemoved) {
  put("b/state.restoring.abcdef/warren.db", "half");
  put("b/state.restoring.abcdef/restore-unfinished", "");
  put("b/state.restoring.ghijkl/warren.db", "a former state that was to be put aside");
  ASSERT_TRUE(restore(*gather()));
  EXPECT_FALSE(fs::exists(scratch_ / "b/state.restoring.abcdef"));
  EXPECT_TRUE(fs::exists(scratch_ / "b/state.restoring.ghijkl"));
  EXPECT_FALSE(fs::exists(scratch_ / "b/state/restore-unfinished"));
}

}  // namespace
}  // namespace warren::gateway
