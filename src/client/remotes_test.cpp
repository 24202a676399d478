#include "client/remotes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include "os/scratch_directory.hpp"

namespace warren::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Remote remote(const std::string& name) {
  Remote made{.name = name, .access = {.enrol_at = "gw.example.org:51801"}};
  made.access.pin.fill(7);
  made.access.secret.fill(9);
  return made;
}

TEST(Remotes, AreKeptForTheirOwnerAlone) {
  const os::ScratchDirectory scratch;
  const Remotes remotes(scratch.path() + "/warren");
  EXPECT_TRUE(remotes.list()->empty());
  ASSERT_TRUE(remotes.add(remote("berlin")));
  ASSERT_TRUE(remotes.add(remote("aachen")));
  EXPECT_EQ(remotes.add(remote("berlin")).error().kind, base::ErrorKind::Conflict);
  EXPECT_THAT(*remotes.list(), ElementsAre("aachen", "berlin"));
  const auto read = remotes.read("berlin");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->access.enrol_at, "gw.example.org:51801");
  EXPECT_EQ(read->access.secret, remote("berlin").access.secret);
  const std::string file = scratch.path() + "/warren/remotes/berlin.token";
  struct stat there{};
  ASSERT_EQ(::stat(file.c_str(), &there), 0);
  EXPECT_EQ(there.st_mode & 0777, 0600U);
  ASSERT_EQ(::chmod(file.c_str(), 0640), 0);
  EXPECT_EQ(remotes.read("berlin").error().kind, base::ErrorKind::NotPermitted);
  EXPECT_TRUE(remotes.remove("berlin"));
  EXPECT_THAT(remotes.read("achen").error().hint, HasSubstr("aachen"));
}

TEST(Remotes, OneIsMeantUntilItGoes) {
  const os::ScratchDirectory scratch;
  const Remotes remotes(scratch.path());
  EXPECT_EQ(remotes.current(), "");
  EXPECT_EQ(remotes.use("berlin").error().kind, base::ErrorKind::NotFound);
  ASSERT_TRUE(remotes.add(remote("berlin")));
  ASSERT_TRUE(remotes.use("berlin"));
  EXPECT_EQ(remotes.current(), "berlin");
  ASSERT_TRUE(remotes.use("local"));
  ASSERT_TRUE(remotes.use("local")) << "again";
  EXPECT_EQ(remotes.current(), "");
  ASSERT_TRUE(remotes.use("berlin"));
  ASSERT_TRUE(remotes.remove("berlin"));
  EXPECT_EQ(remotes.current(), "");
}

TEST(Remotes, NamesAreFileNames) {
  for (const char* name : {"", "..", "../x", "a/b", ".hidden", "-x", "A", "local", "a b"}) {
    EXPECT_FALSE(check_remote_name(name)) << name;
  }
  EXPECT_TRUE(check_remote_name("gw-1.example.org"));
}

}  // namespace
}  // namespace warren::client
