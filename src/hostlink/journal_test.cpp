#include "hostlink/journal.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "os/file.hpp"
#include "os/netns_test_support.hpp"
#include "os/scratch_directory.hpp"
#include "os/unix_socket.hpp"

namespace warren::hostlink {
namespace {

using base::ErrorKind;

const os::Rule kRule{
    .family = base::Family::V6, .priority = 90, .table = 51820, .mark = 51820, .inverted = true};

class JournalTest : public os::NetnsTest {
 protected:
  [[nodiscard]] std::string path() const { return scratch_ / "lab.undo"; }
  static bool exists(const std::string& file) { return access(file.c_str(), F_OK) == 0; }
  os::ScratchDirectory scratch_;
};

TEST(Deed, IsReadAsItWasWritten) {
  const std::vector<Deed> deeds = {{.kind = Deed::Kind::Socket, .name = "/run/a.sock"},
                                   {.kind = Deed::Kind::Link, .name = "lab", .index = 12},
                                   {.kind = Deed::Kind::Rule, .name = {}, .rule = kRule},
                                   {.kind = Deed::Kind::Rule,
                                    .name = {},
                                    .rule = {.priority = 3, .table = 254, .udp_source_port = 4000}},
                                   {.kind = Deed::Kind::Resolved, .name = "lab"},
                                   {.kind = Deed::Kind::Resolvconf, .name = "tun.lab"}};
  for (const Deed& deed : deeds) {
    EXPECT_EQ(Deed::parse(deed.write()), deed) << deed.write();
    const std::string whole = deed.write();
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
      static_cast<void>(Deed::parse(whole.substr(0, cut)));  // never a crash
    }
  }
  for (const char* bad : {"", "link", "link lab", "rule 5 1 1 1 1 1 1", "rule 4 1", "file x"}) {
    EXPECT_EQ(Deed::parse(bad), std::nullopt) << bad;
  }
}

TEST_F(JournalTest, UndoesTheLastFirstAndOnlyWhatIsOurs) {
  os::Fd netns;
  make_netns("j", netns);
  if (IsSkipped()) return;
  inside(netns, [&] {
    auto rtnl = os::Rtnl::open().value();
    const auto rules = rtnl.rules().value();
    auto journal = Journal::create(path());
    ASSERT_TRUE(journal) << journal.error().message;
    EXPECT_EQ(Journal::create(path()).error().kind, ErrorKind::Conflict);
    const std::string socket = scratch_ / "api.sock";
    const std::string file = scratch_ / "a-file";
    ASSERT_TRUE(os::unix_listen(os::UnixType::Stream, socket, 0600));
    ASSERT_TRUE(os::write_file_atomically(file, "mine", 0600));
    ASSERT_TRUE(rtnl.add_bridge("lab"));
    ASSERT_TRUE(rtnl.add_bridge("other"));
    ASSERT_TRUE(rtnl.add_rule(kRule));
    const std::uint32_t index = rtnl.link("lab").value().index;
    ASSERT_TRUE(journal->add({.kind = Deed::Kind::Socket, .name = socket}));
    ASSERT_TRUE(journal->add({.kind = Deed::Kind::Socket, .name = file}));
    ASSERT_TRUE(journal->add({.kind = Deed::Kind::Link, .name = "lab", .index = index}));
    ASSERT_TRUE(journal->add({.kind = Deed::Kind::Link, .name = "other", .index = 9999}));
    ASSERT_TRUE(journal->add({.kind = Deed::Kind::Rule, .name = {}, .rule = kRule}));
    // Written down, and then not done: its maker was killed.
    os::Rule never = kRule;
    never.priority = 77;
    ASSERT_TRUE(journal->add({.kind = Deed::Kind::Rule, .name = {}, .rule = never}));

    std::vector<std::string> told;
    const auto undone = undo(path(), [&](const Deed& deed) { told.push_back(deed.remedy()); });
    EXPECT_TRUE(undone) << undone.error().message;
    // What was not there any more is not told, nor what is somebody else's.
    EXPECT_THAT(told, testing::ElementsAre("ip -6 rule del priority 90 table 51820",
                                           "ip link del lab", "rm " + socket));
    EXPECT_EQ(rtnl.rules().value(), rules);
    EXPECT_FALSE(rtnl.link("lab"));
    EXPECT_TRUE(rtnl.link("other"));
    EXPECT_FALSE(exists(socket));
    EXPECT_TRUE(exists(file));
    EXPECT_FALSE(exists(path()));
    EXPECT_EQ(undo(path()).error().kind, ErrorKind::NotFound);
  });
}

TEST_F(JournalTest, ALastLineThatIsNotWholeWasNotDone) {
  os::Fd netns;
  make_netns("k", netns);
  if (IsSkipped()) return;
  inside(netns, [&] {
    auto rtnl = os::Rtnl::open().value();
    ASSERT_TRUE(rtnl.add_bridge("lab"));
    ASSERT_TRUE(Journal::create(path()));
    const os::Fd file(open(path().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    const std::string line = "link lab " + std::to_string(rtnl.link("lab").value().index);
    ASSERT_EQ(write(file.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    EXPECT_TRUE(undo(path()));
    EXPECT_TRUE(rtnl.link("lab"));
    EXPECT_FALSE(exists(path()));
  });
}

TEST_F(JournalTest, AnotherNamespaceIsNotTouched) {
  os::Fd here;
  os::Fd there;
  make_netns("h", here);
  if (IsSkipped()) return;
  make_netns("t", there);
  inside(here, [&] {
    auto journal = Journal::create(path());
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->add({.kind = Deed::Kind::Link, .name = "lo", .index = 1}));
  });
  inside(there, [&] {
    EXPECT_EQ(undo(path()).error().kind, ErrorKind::Conflict);
    EXPECT_TRUE(exists(path()));
  });
}

TEST_F(JournalTest, AnEarlierBootLeftNothing) {
  ASSERT_TRUE(os::write_file_atomically(
      path(), "warren-up 1\nboot 00000000-0000-0000-0000-000000000000\nnetns 4:1\nlink lo 1\n",
      0600));
  EXPECT_TRUE(undo(path()));
  EXPECT_FALSE(exists(path()));
}

TEST_F(JournalTest, WhatCannotBeUndoneStaysWritten) {
  os::Fd netns;
  make_netns("w", netns);
  if (IsSkipped()) return;
  inside(netns, [&] {
    auto journal = Journal::create(path());
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->add({.kind = Deed::Kind::Link, .name = "lo", .index = 1}));
    ASSERT_TRUE(journal->add({.kind = Deed::Kind::Rule, .name = {}, .rule = kRule}));
    EXPECT_FALSE(undo(path()));  // the loopback cannot be deleted
    const auto left = os::read_file(path());
    ASSERT_TRUE(left);
    EXPECT_THAT(*left, testing::EndsWith("\nlink lo 1\n"));
    EXPECT_THAT(*left, testing::Not(testing::HasSubstr("rule")));
  });
}

}  // namespace
}  // namespace warren::hostlink
