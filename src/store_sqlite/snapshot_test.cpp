#include "store_sqlite/snapshot.hpp"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store_sqlite/sqlite_store.hpp"

namespace warren::store_sqlite {
namespace {

using base::ErrorKind;
using testing::HasSubstr;

class Snapshots : public testing::Test {
 protected:
  Snapshots() {
    std::string pattern = std::filesystem::temp_directory_path() / "warren-snapshot-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~Snapshots() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }

  static store::StoredNetwork network(std::uint32_t number) {
    store::StoredNetwork stored;
    stored.network.id = {number};
    stored.network.name = "n" + std::to_string(number);
    stored.network.port = static_cast<std::uint16_t>(number);
    stored.network.transit = number;
    stored.network.endpoint_host = "gw";
    return stored;
  }
  std::string copy_of(const std::string& text) {
    std::ofstream(path("copy.db"), std::ios::binary) << text;
    std::filesystem::permissions(
        path("copy.db"), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path("copy.db");
  }

  std::string directory_;
};

// Every commit puts a network and a record: a copy that is not of one instant has more of one.
TEST_F(Snapshots, AreOfOneInstantWhileTheDaemonWrites) {
  const auto opened = open(path("warren.db"));
  ASSERT_TRUE(opened) << opened.error().message;
  std::atomic<bool> stop = false;
  std::atomic<std::uint32_t> written = 0;
  std::thread daemon([&] {
    for (std::uint32_t number = 1; !stop && number < 60'000; ++number) {
      const store::AuditRecord record{{number}, "a", "b", "c", "ok"};
      if (!(*opened)->commit_soon({store::PutNetwork{network(number)}}, record)) break;
      written = number;
    }
  });
  while (written == 0) std::this_thread::yield();
  std::uint64_t before = 0;
  for (int i = 0; i < 5; ++i) {
    const std::uint32_t at_least = written;
    const auto text = snapshot(path("warren.db"));
    ASSERT_TRUE(text) << text.error().message;
    const auto found = inspect(copy_of(*text));
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->networks, found->audit_records);
    EXPECT_GE(found->networks, at_least);
    EXPECT_GE(found->networks, before);
    before = found->networks;
  }
  stop = true;
  daemon.join();
}

TEST_F(Snapshots, NeedADatabase) {
  EXPECT_EQ(snapshot(path("none.db")).error().kind, ErrorKind::NotFound);
  EXPECT_FALSE(std::filesystem::exists(path("none.db")));
  EXPECT_FALSE(snapshot(copy_of("no database at all, but some text of a length")));
}

TEST_F(Snapshots, OfANewerVersionAreRefused) {
  {
    ASSERT_TRUE(open(path("warren.db")));
  }
  const std::string copy = copy_of(*snapshot(path("warren.db")));
  {
    SQLite::Database database(copy, SQLite::OPEN_READWRITE);
    database.exec("PRAGMA user_version = 9999");
  }
  const auto found = inspect(copy);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::Conflict);
  EXPECT_THAT(found.error().message, HasSubstr("newer warren (its version is 9999"));
}

TEST_F(Snapshots, OfAnOlderVersionAreBroughtUpToDate) {
  {
    ASSERT_TRUE(open_at_version(path("warren.db"), 1));
  }
  EXPECT_TRUE(inspect(copy_of(*snapshot(path("warren.db")))));
}

TEST_F(Snapshots, WhoseAuditWasChangedAreRefused) {
  {
    const auto opened = open(path("warren.db"));
    ASSERT_TRUE((*opened)->commit({}, {{1}, "uid 0", "network.create", "lab", "ok"}));
    ASSERT_TRUE((*opened)->commit({}, {{2}, "uid 0", "network.delete", "lab", "ok"}));
  }
  const std::string copy = copy_of(*snapshot(path("warren.db")));
  ASSERT_TRUE(inspect(copy));
  {
    SQLite::Database database(copy, SQLite::OPEN_READWRITE);
    database.exec("DROP TRIGGER audit_is_never_changed");
    database.exec("UPDATE audit SET actor = 'uid 7' WHERE id = 1");
  }
  EXPECT_THAT(inspect(copy).error().message, HasSubstr("audit"));
}

}  // namespace
}  // namespace warren::store_sqlite
