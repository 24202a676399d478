#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "store/store_contract.hpp"
#include "store_sqlite/migrations.hpp"
#include "store_sqlite/sqlite_store.hpp"

namespace warren::store_sqlite {
namespace {

using store::State;
using store::Store;
using testing::HasSubstr;
namespace contract = store::contract;

class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "warren-store-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  [[nodiscard]] std::string file() const { return (path_ / "warren.db").string(); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::unique_ptr<Store> open_or_die(const std::string& path) {
  auto opened = open(path);
  EXPECT_TRUE(opened) << opened.error().message;
  if (!opened) std::abort();
  return std::move(*opened);
}

/// The same file opened anew each time: what a restarted daemon sees.
struct SqliteTraits {
  std::unique_ptr<Store> open() { return open_or_die(directory.file()); }
  ScratchDirectory directory;
};

}  // namespace
}  // namespace warren::store_sqlite

namespace warren::store::contract {
INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, StoreContract, store_sqlite::SqliteTraits);
}

namespace warren::store_sqlite {
namespace {

TEST(SqliteStore, FilesAreTheOwnersAlone) {
  const ScratchDirectory directory;
  const mode_t before = ::umask(0);
  const auto opened = open_or_die(directory.file());
  ASSERT_TRUE(opened->commit({store::PutNetwork{contract::network(1, "a")}}, contract::record("")));
  ::umask(before);
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    struct stat status{};
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 3U);  // the database, its log and the log's index
}

TEST(SqliteStore, RefusesAFileThatOthersCanRead) {
  const ScratchDirectory directory;
  open_or_die(directory.file());
  ASSERT_EQ(::chmod(directory.file().c_str(), 0640), 0);
  const auto opened = open(directory.file());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, base::ErrorKind::NotPermitted);
  EXPECT_THAT(opened.error().hint, HasSubstr("chmod 600"));
}

TEST(SqliteStore, SaysWhoElseMayReadItWhileItIsOpen) {
  const ScratchDirectory directory;
  const auto opened = open_or_die(directory.file());
  ASSERT_TRUE(opened->commit({store::PutNetwork{contract::network(1, "a")}}, contract::record("")));
  EXPECT_TRUE(opened->find_exposed().empty());
  for (const char* end : {"", "-wal", "-shm"}) {
    const std::string path = directory.file() + end;
    ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
    const auto found = opened->find_exposed();
    ASSERT_EQ(found.size(), 1U) << path;
    EXPECT_THAT(found[0].what, HasSubstr(path + " has mode 0644"));
    EXPECT_EQ(found[0].repair, "chmod 600 " + path);
    ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  }
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(directory.file().c_str(), 65'534, 65'534), 0);
    ASSERT_EQ(opened->find_exposed().size(), 1U);
    EXPECT_THAT(opened->find_exposed()[0].what, HasSubstr("belongs to uid 65534"));
    ASSERT_EQ(::chown(directory.file().c_str(), 0, 0), 0);
  }
  const std::string moved = directory.file() + ".moved";
  std::filesystem::rename(directory.file(), moved);
  ASSERT_EQ(opened->find_exposed().size(), 1U);
  EXPECT_THAT(opened->find_exposed()[0].what, HasSubstr("not there any more"));
  std::filesystem::copy_file(moved, directory.file());
  ASSERT_EQ(opened->find_exposed().size(), 1U);
  EXPECT_THAT(opened->find_exposed()[0].what, HasSubstr("another file"));
}

TEST(SqliteStore, RefusesWhatIsNoDatabase) {
  const ScratchDirectory directory;
  std::ofstream(directory.file()) << std::string(8192, 'x');
  ::chmod(directory.file().c_str(), 0600);
  const auto opened = open(directory.file());
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr(directory.file()));
  EXPECT_THAT(opened.error().hint, HasSubstr("no database"));
}

TEST(SqliteStore, NamesAMissingDirectory) {
  const auto opened = open("/nonexistent/warren/warren.db");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, base::ErrorKind::NotFound);
  EXPECT_FALSE(opened.error().hint.empty());
}

TEST(SqliteStore, DoesNotFollowALink) {
  const ScratchDirectory directory;
  const std::string elsewhere = (directory.path() / "elsewhere").string();
  std::filesystem::create_symlink(elsewhere, directory.file());
  EXPECT_FALSE(open(directory.file()));
  EXPECT_FALSE(std::filesystem::exists(elsewhere));
}

TEST(SqliteStore, RefusesANewerDatabaseAndLeavesItAlone) {
  const ScratchDirectory directory;
  open_or_die(directory.file());
  const int newer = schema_version() + 1;
  {
    SQLite::Database raw(directory.file(), SQLite::OPEN_READWRITE);
    raw.exec("PRAGMA user_version = " + std::to_string(newer));
  }
  const auto opened = open(directory.file());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, base::ErrorKind::Conflict);
  EXPECT_THAT(opened.error().message, HasSubstr("newer warren"));
  EXPECT_THAT(opened.error().hint, HasSubstr("upgrade"));
  SQLite::Database raw(directory.file(), SQLite::OPEN_READWRITE);
  EXPECT_EQ(raw.execAndGet("PRAGMA user_version").getInt(), newer);
}

/// Runs `body` in a child whose `directory` is a disk of its own of this size, and returns what it
/// says; "skip" where the tests may not mount.
std::string on_a_small_disk(const ScratchDirectory& directory, const char* size,
                            const std::function<std::string()>& body) {
  int answer[2];
  if (::pipe2(answer, O_CLOEXEC) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said = "skip";
    if (::unshare(CLONE_NEWNS) == 0 &&
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        ::mount("tmpfs", directory.path().c_str(), "tmpfs", 0,
                (std::string("mode=0700,size=") + size).c_str()) == 0) {
      said = body();
    }
    const ssize_t written = ::write(answer[1], said.data(), said.size());
    ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  ::close(answer[1]);
  std::string said;
  char buffer[512];
  for (ssize_t got = 0; (got = ::read(answer[0], buffer, sizeof buffer)) > 0;) {
    said.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(answer[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return said;
}

TEST(SqliteStore, AFullDiskIsSaidAndChangesNothing) {
  const ScratchDirectory directory;
  const std::string said = on_a_small_disk(directory, "512k", [&]() -> std::string {
    const auto opened = open(directory.file());
    if (!opened) return opened.error().message;
    State expected;
    for (std::uint32_t i = 1; i < 60'000; ++i) {
      const std::vector<store::Change> changes{
          store::PutNetwork{contract::network(i, "n" + std::to_string(i))}};
      const auto status = (*opened)->commit(changes, contract::record(""));
      if (!status) {
        const auto found = (*opened)->load();
        if (!found) return "cannot read: " + found.error().message;
        if (*found != expected) return "something changed";
        const auto again = open(directory.file());
        if (!again) return "cannot reopen: " + again.error().message;
        if (*(*again)->load() != expected) return "something changed on the disk";
        return status.error().message + "|" + status.error().hint;
      }
      store::apply(expected, changes);
    }
    return "never full";
  });
  if (said == "skip") GTEST_SKIP() << "mounting a small disk needs privilege";
  EXPECT_THAT(said, testing::StartsWith("write the database: "));
  EXPECT_THAT(said, HasSubstr("the disk is full"));
}

TEST(SqliteStore, AReadOnlyDiskIsSaid) {
  const ScratchDirectory directory;
  const std::string said = on_a_small_disk(directory, "1m", [&]() -> std::string {
    if (!open(directory.file())) return "not made";
    if (::mount(nullptr, directory.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      return "skip";
    }
    const auto opened = open(directory.file());
    if (opened) return "opened";
    return opened.error().message + "|" + opened.error().hint;
  });
  if (said == "skip") GTEST_SKIP() << "mounting a small disk needs privilege";
  EXPECT_THAT(said, HasSubstr("Read-only file system"));
  EXPECT_THAT(said, HasSubstr("|check that the state directory"));
}

TEST(SqliteStore, TheAuditCannotBeChanged) {
  const ScratchDirectory directory;
  ASSERT_TRUE(open_or_die(directory.file())->commit({}, contract::record("x")));
  SQLite::Database raw(directory.file(), SQLite::OPEN_READWRITE);
  EXPECT_THROW(raw.exec("DELETE FROM audit"), SQLite::Exception);
  EXPECT_THROW(raw.exec("UPDATE audit SET result = 'other'"), SQLite::Exception);
}

// Whoever may write the file can also drop its triggers.
TEST(SqliteStore, TheChainTellsWhatWasChangedBehindItsBack) {
  for (const std::string change :
       {"UPDATE audit SET result = 'ok, really' WHERE id = 2", "DELETE FROM audit WHERE id = 2",
        "UPDATE audit SET time = time + 1 WHERE id = 3",
        "UPDATE audit SET actor = 'm', action = 'allory' WHERE id = 2"}) {
    const ScratchDirectory directory;
    const auto opened = open_or_die(directory.file());
    for (int i = 1; i <= 3; ++i) ASSERT_TRUE(opened->commit({}, contract::record_at(i)));
    ASSERT_TRUE(contract::check_chain(*opened));
    {
      SQLite::Database raw(directory.file(), SQLite::OPEN_READWRITE);
      raw.exec("DROP TRIGGER audit_is_never_changed; DROP TRIGGER audit_is_only_forgotten");
      ASSERT_EQ(raw.exec(change), 1) << change;
    }
    const base::Status checked = contract::check_chain(*opened);
    ASSERT_FALSE(checked) << change;
    EXPECT_THAT(checked.error().message,
                HasSubstr(change.ends_with("3") ? "record 3" : "record 2"));
  }
}

TEST(SqliteStore, ADamagedRowIsAnErrorNotAGuess) {
  const ScratchDirectory directory;
  const auto opened = open_or_die(directory.file());
  ASSERT_TRUE(opened->commit({store::PutNetwork{contract::network(1, "a")}}, contract::record("")));
  {
    SQLite::Database raw(directory.file(), SQLite::OPEN_READWRITE);
    raw.exec("UPDATE networks SET subnet4 = '10.20.0.0/99'");
  }
  const auto state = opened->load();
  ASSERT_FALSE(state);
  EXPECT_THAT(state.error().message, HasSubstr("subnet4"));
}

// --- migrations: each from the version before, with the data that such a database holds ---

std::string schema_of(const std::string& path) {
  SQLite::Database raw(path, SQLite::OPEN_READONLY);
  SQLite::Statement rows(raw, "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name");
  std::string out;
  while (rows.executeStep()) {
    out += rows.getColumn(0).getString() + " " + rows.getColumn(1).getString() + " " +
           rows.getColumn(2).getString() + "\n";
  }
  return out;
}

/// Fills a database of an old version with what one of today holds, as far as its columns go.
void fill_old(const std::string& old_path, const std::string& full_path) {
  SQLite::Database raw(old_path, SQLite::OPEN_READWRITE);
  raw.exec("ATTACH '" + full_path + "' AS today");
  for (const std::string table :
       {"networks", "roles", "peers", "tokens", "refused_keys", "forwards", "audit", "meta",
        "refused_everywhere", "authorities", "certificates", "api_tokens"}) {
    if (!raw.tableExists(table)) continue;
    std::string columns;
    SQLite::Statement info(raw, "SELECT name FROM pragma_table_info('" + table + "', 'main')");
    while (info.executeStep()) {
      columns += (columns.empty() ? "" : ", ") + info.getColumn(0).getString();
    }
    if (table == "meta") raw.exec("DELETE FROM main.meta");
    raw.exec("INSERT INTO main." + table + " (" + columns + ") SELECT " + columns + " FROM today." +
             table);
  }
}

class Migration : public testing::TestWithParam<int> {};

TEST_P(Migration, KeepsTheDataOfTheVersionBefore) {
  const ScratchDirectory directory;
  const int old_version = GetParam() - 1;
  State before;
  if (old_version > 0) {
    const ScratchDirectory today;
    ASSERT_TRUE(
        open_or_die(today.file())->commit(contract::everything(), contract::record("kept")));
    ASSERT_TRUE(open_at_version(directory.file(), old_version));
    fill_old(directory.file(), today.file());
    store::apply(before, contract::everything());
  } else {
    ASSERT_TRUE(open_at_version(directory.file(), old_version));
  }
  if (old_version < 3) {
    for (auto& [id, peer] : before.peers) {
      peer.by_hand = false;
      peer.expires = {};
    }
  }
  if (old_version < 5) {
    for (auto& [id, peer] : before.peers) peer.lease_s = 0;
  }
  if (old_version < 4) {
    before.forwards.clear();
    for (auto& [id, stored] : before.networks) {
      stored.network.stopped = false;
      stored.network.chosen_gateway4.reset();
      stored.network.chosen_gateway6.reset();
      stored.network.reserved.clear();
    }
  }
  if (old_version < 6) {
    for (auto& [id, stored] : before.networks) {
      stored.network.roles.clear();
      stored.network.default_role.clear();
      stored.network.max_members = 0;
      stored.network.policy.clear();
    }
    for (auto& [id, peer] : before.peers) {
      if (peer.role.empty()) peer.role = "member";
      if (peer.role != "node") continue;
      before.networks.at(peer.network).network.roles = {
          {.number = 1, .name = "node", .range4 = {}, .range6 = {}}};
    }
  }
  if (old_version < 8) {
    for (auto& [id, stored] : before.networks) {
      stored.network.max_devices = 0;
      stored.network.names = false;
      stored.network.forwarders.clear();
      stored.network.attach.clear();
      stored.network.host_access = false;
      stored.network.listen.clear();
    }
    for (auto& [id, peer] : before.peers) peer.person.clear();
    before.refused_everywhere.clear();
    before.authorities.clear();
    before.certificates.clear();
    before.api_tokens.clear();
  }
  if (old_version < 9) {
    for (auto& [serial, one] : before.certificates) one.is_server = one.role == "server";
    for (auto& [key, one] : before.authorities) one.brought = !one.chain_pem.empty();
    before.last_lists.clear();
  }
  const auto migrated = open_or_die(directory.file());
  EXPECT_EQ(*migrated->load(), before);
  EXPECT_EQ(migrated->audit(10)->size(), GetParam() > 1 ? 1U : 0U);
  ASSERT_TRUE(migrated->commit({}, contract::record_at(1)));
  EXPECT_TRUE(contract::check_chain(*migrated)) << "the chain begins behind what was there";
  // However it came here, the schema is that of a new database.
  const ScratchDirectory fresh;
  open_or_die(fresh.file());
  EXPECT_EQ(schema_of(directory.file()), schema_of(fresh.file()));
}

INSTANTIATE_TEST_SUITE_P(From, Migration,
                         testing::Range(1, static_cast<int>(kMigrations.size()) + 1));

// --- a crash at any instant ---

/// Commit number n makes peer n, renames peer n-1, gives n a token: a half of it would show.
std::vector<store::Change> nth_change(std::uint32_t n) {
  std::vector<store::Change> changes;
  const model::Peer peer = contract::peer(n, 1, "p" + std::to_string(n));
  if (n > 1) {
    model::Peer previous = contract::peer(n - 1, 1, "was" + std::to_string(n - 1));
    changes.push_back(store::PutPeer{previous});
  }
  changes.push_back(store::PutPeer{peer});
  model::Token token = contract::token(0, peer);
  base::ByteWriter(token.secret_hash).u32_be(n);
  changes.push_back(store::PutToken{token});
  return changes;
}

TEST(SqliteStore, AKillInTheMiddleLeavesAPrefixOfTheChanges) {
  constexpr std::uint32_t kMost = 5000;
  for (int round = 0; round < 5; ++round) {
    const ScratchDirectory directory;
    int progress[2];
    ASSERT_EQ(::pipe2(progress, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto opened = open(directory.file());
      if (!opened) ::_exit(1);
      if (!(*opened)->commit({store::PutNetwork{contract::network(1, "a")}}, contract::record("0")))
        ::_exit(2);
      for (std::uint32_t n = 1; n <= kMost; ++n) {
        if (!(*opened)->commit(nth_change(n), contract::record(std::to_string(n)))) ::_exit(3);
        if (::write(progress[1], &n, sizeof n) != sizeof n) ::_exit(4);
      }
      ::_exit(0);
    }
    ::close(progress[1]);
    std::uint32_t acknowledged = 0;
    const auto wanted = static_cast<std::uint32_t>(20 + round * 13);
    while (acknowledged < wanted &&
           ::read(progress[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged) {
    }
    ::kill(child, SIGKILL);
    while (::read(progress[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged) {
    }
    ::close(progress[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);

    const auto reopened = open_or_die(directory.file());
    const auto found = reopened->load();
    ASSERT_TRUE(found) << found.error().message;
    const auto count = static_cast<std::uint32_t>(found->peers.size());
    EXPECT_GE(count, acknowledged);
    EXPECT_LE(count, acknowledged + 1);
    State expected;
    store::apply(expected, {store::PutNetwork{contract::network(1, "a")}});
    for (std::uint32_t n = 1; n <= count; ++n) store::apply(expected, nth_change(n));
    EXPECT_EQ(*found, expected);
    EXPECT_EQ(reopened->audit(kMost)->size(), count + 1U);
  }
}

TEST(SqliteStore, TwoConnectionsSeeOneState) {
  const ScratchDirectory directory;
  const auto one = open_or_die(directory.file());
  const auto two = open_or_die(directory.file());
  ASSERT_TRUE(one->commit({store::PutNetwork{contract::network(1, "a")}}, contract::record("")));
  ASSERT_TRUE(two->commit({store::PutNetwork{contract::network(2, "b")}}, contract::record("")));
  EXPECT_EQ(*one->load(), *two->load());
  EXPECT_EQ(one->load()->networks.size(), 2U);
}

}  // namespace
}  // namespace warren::store_sqlite
