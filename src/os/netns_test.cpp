#include "os/netns.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "os/file.hpp"
#include "os/process.hpp"

namespace warren::os {
namespace {

using base::ErrorKind;
using testing::HasSubstr;

ino_t inode_of(const Fd& file) {
  struct stat there{};
  return fstat(file.get(), &there) == 0 ? there.st_ino : 0;
}

class NetnsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = create_named_netns(name_);
    if (!made && made.error().kind == ErrorKind::NotPermitted)
      GTEST_SKIP() << "needs CAP_SYS_ADMIN: " << made.error().message;
    ASSERT_TRUE(made) << made.error().message;
    netns_ = std::move(*made);
  }
  void TearDown() override {
    if (netns_) static_cast<void>(delete_named_netns(name_));
  }
  const std::string name_ = "wt" + std::to_string(getpid()) + "-netns";
  Fd netns_;
};

TEST_F(NetnsTest, IsNewAndHasItsName) {
  const auto own = current_netns();
  ASSERT_TRUE(own);
  EXPECT_NE(inode_of(netns_), inode_of(*own));
  const auto opened = open_named_netns(name_);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(inode_of(*opened), inode_of(netns_));
  EXPECT_EQ(fcntl(opened->get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(NetnsTest, ExistsOnce) {
  const auto again = create_named_netns(name_);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, ErrorKind::Conflict);
  EXPECT_THAT(again.error().message, HasSubstr(name_));
  EXPECT_TRUE(open_named_netns(name_));
}

TEST_F(NetnsTest, IpNetnsUsesIt) {
  const auto child = spawn({.argv = {"/sbin/ip", "netns", "exec", name_, "true"}});
  if (!child) GTEST_SKIP() << "no ip program: " << child.error().message;
  EXPECT_EQ(wait_for(*child).value(), 0);
}

TEST_F(NetnsTest, RunsInsideOnAThreadOfItsOwn) {
  const auto before = inode_of(*current_netns());
  ino_t inside = 0;
  pid_t thread = 0;
  ASSERT_TRUE(in_netns(netns_, [&]() -> base::Status {
    inside = inode_of(*current_netns());
    thread = gettid();
    return {};
  }));
  EXPECT_EQ(inside, inode_of(netns_));
  EXPECT_NE(thread, gettid());
  EXPECT_EQ(inode_of(*current_netns()), before);
}

TEST_F(NetnsTest, HandsOutTheErrorFromInside) {
  const auto status = in_netns(
      netns_, [] { return base::Status(base::make_error(ErrorKind::Expired, "from inside")); });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "from inside");
  EXPECT_EQ(in_netns(Fd(), [] { return base::Status(); }).error().os_errno, EBADF);
}

TEST_F(NetnsTest, DeletedMeansNoName) {
  ASSERT_TRUE(delete_named_netns(name_));
  EXPECT_EQ(open_named_netns(name_).error().kind, ErrorKind::NotFound);
  EXPECT_EQ(access(("/run/netns/" + name_).c_str(), F_OK), -1);
  EXPECT_EQ(delete_named_netns(name_).error().kind, ErrorKind::NotFound);
  EXPECT_TRUE(in_netns(netns_, [] { return base::Status(); }));  // lives while it is held
}

TEST_F(NetnsTest, ANameWithoutANamespaceIsNotOne) {
  const std::string stale = name_ + "-stale";
  ASSERT_TRUE(write_file_atomically("/run/netns/" + stale, "", 0444));
  const auto opened = open_named_netns(stale);
  EXPECT_EQ(create_named_netns(stale).error().kind, ErrorKind::Conflict);
  EXPECT_TRUE(delete_named_netns(stale));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::NotFound);
  EXPECT_THAT(opened.error().hint, HasSubstr("ip netns delete " + stale));
}

TEST(Netns, NamesStayInTheirDirectory) {
  for (const std::string name : {"", ".", "..", "a/b", "../../etc/passwd"}) {
    EXPECT_EQ(create_named_netns(name).error().kind, ErrorKind::Invalid) << name;
    EXPECT_EQ(open_named_netns(name).error().kind, ErrorKind::Invalid) << name;
    EXPECT_EQ(delete_named_netns(name).error().kind, ErrorKind::Invalid) << name;
  }
}

}  // namespace
}  // namespace warren::os
