#include "os/file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "os/process.hpp"
#include "os/scratch_directory.hpp"

namespace warren::os {
namespace {

using base::ErrorKind;
using testing::HasSubstr;

mode_t mode_of(const std::string& path) {
  struct stat there{};
  return stat(path.c_str(), &there) == 0 ? there.st_mode & 07777 : 0;
}

std::ptrdiff_t entries(const ScratchDirectory& scratch) {
  const std::filesystem::directory_iterator first(scratch.path());
  return std::distance(first, {});
}

TEST(ReadFile, WholeAndNoMore) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "f";
  const std::string content(100'000, 'c');
  ASSERT_TRUE(write_file_atomically(path, content, 0600));
  EXPECT_EQ(read_file(path).value(), content);
  EXPECT_EQ(read_file(path, content.size()).value(), content);
  EXPECT_EQ(read_file(path, content.size() - 1).error().kind, ErrorKind::Invalid);
  EXPECT_EQ(read_file(scratch / "none").error().kind, ErrorKind::NotFound);
  EXPECT_FALSE(read_file("/proc/self/status").value().empty());
}

TEST(WriteFileAtomically, HasItsModeAndLeavesNothingBeside) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "f";
  const mode_t before = umask(0077);
  ASSERT_TRUE(write_file_atomically(path, "one", 0644));
  umask(before);
  EXPECT_EQ(mode_of(path), 0644U);
  ASSERT_TRUE(write_file_atomically(path, "two", 0600));
  EXPECT_EQ(mode_of(path), 0600U);
  EXPECT_EQ(read_file(path).value(), "two");
  EXPECT_EQ(entries(scratch), 1);
}

TEST(WriteFileAtomically, AFailureLeavesTheOldFileAlone) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(make_directories(scratch / "taken", 0755));  // rename over a directory fails
  EXPECT_FALSE(write_file_atomically(scratch / "taken", "x", 0600));
  EXPECT_EQ(entries(scratch), 1);
  EXPECT_EQ(write_file_atomically(scratch / "none/f", "x", 0600).error().kind, ErrorKind::NotFound);
}

TEST(WriteFileAtomically, ReadersOfTheOldFileKeepIt) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "f";
  ASSERT_TRUE(write_file_atomically(path, "old", 0600));
  const Fd old(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(write_file_atomically(path, "new", 0600));
  char text[8] = {};
  EXPECT_EQ(read(old.get(), text, sizeof text), 3);
  EXPECT_STREQ(text, "old");
}

TEST(WriteExisting, NeverCreates) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "f";
  EXPECT_EQ(write_existing(path, "x").error().kind, ErrorKind::NotFound);
  ASSERT_TRUE(write_file_atomically(path, "long content", 0640));
  ASSERT_TRUE(write_existing(path, "short"));
  EXPECT_EQ(read_file(path).value(), "short");
  EXPECT_EQ(mode_of(path), 0640U);
}

TEST(MakeDirectories, LikeMkdirP) {
  const ScratchDirectory scratch;
  const mode_t before = umask(0077);
  EXPECT_TRUE(make_directories(scratch / "a/b//c/", 0750));
  umask(before);
  EXPECT_EQ(mode_of(scratch / "a"), 0755U);
  EXPECT_EQ(mode_of(scratch / "a/b/c"), 0750U);
  EXPECT_TRUE(make_directories(scratch / "a/b/c", 0700));
  EXPECT_EQ(mode_of(scratch / "a/b/c"), 0750U);
  ASSERT_TRUE(write_file_atomically(scratch / "file", "", 0600));
  EXPECT_EQ(make_directories(scratch / "file/x", 0700).error().os_errno, ENOTDIR);
  EXPECT_EQ(make_directories(scratch / "file", 0700).error().os_errno, ENOTDIR);
  EXPECT_TRUE(make_directories("/", 0700));
}

TEST(LockFile, ASecondHolderIsToldWhoTheFirstIs) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "lock";
  auto first = lock_file(path);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(mode_of(path), 0600U);
  const auto second = lock_file(path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::Conflict);
  EXPECT_THAT(second.error().message, HasSubstr(path));
  EXPECT_THAT(second.error().hint, HasSubstr("process " + std::to_string(getpid()) + " "));
  first->reset();
  EXPECT_TRUE(lock_file(path));
}

TEST(LockFile, ANewHolderReplacesThePidOfTheOld) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "lock";
  ASSERT_TRUE(write_file_atomically(path, "4194303999\nmore", 0600));
  const auto lock = lock_file(path);
  ASSERT_TRUE(lock);
  EXPECT_EQ(read_file(path).value(), std::to_string(getpid()) + "\n");
}

TEST(LockFile, IsNotInheritedByAProgramWeStart) {
  const ScratchDirectory scratch;
  auto lock = lock_file(scratch / "lock");
  ASSERT_TRUE(lock);
  const auto child = spawn({.argv = {"/bin/sleep", "1000"}, .die_with_parent = true});
  ASSERT_TRUE(child);
  lock->reset();
  EXPECT_TRUE(lock_file(scratch / "lock"));
  ASSERT_TRUE(send_signal(child->pidfd, SIGKILL));
  EXPECT_TRUE(wait_for(*child));
}

TEST(LockFile, DoesNotFollowALink) {
  const ScratchDirectory scratch;
  ASSERT_EQ(symlink("/dev/null", (scratch / "lock").c_str()), 0);
  EXPECT_EQ(lock_file(scratch / "lock").error().os_errno, ELOOP);
}

TEST(MemoryFile, KeepsItsSize) {
  const auto file = memory_file("hints", 8192);
  ASSERT_TRUE(file);
  EXPECT_EQ(ftruncate(file->get(), 4096), -1);
  EXPECT_EQ(ftruncate(file->get(), 16384), -1);
  EXPECT_EQ(fcntl(file->get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  EXPECT_EQ(fcntl(file->get(), F_GETFD), FD_CLOEXEC);
}

TEST(Mapping, IsSharedThroughTheDescriptor) {
  const auto file = memory_file("hints", 8192);
  auto first = Mapping::create(*file);
  ASSERT_TRUE(first) << first.error().message;
  ASSERT_EQ(first->bytes().size(), 8192U);
  EXPECT_EQ(first->bytes()[8191], 0);
  const auto second = Mapping::create(*file);
  first->bytes()[5] = 42;
  EXPECT_EQ(second->bytes()[5], 42);
  Mapping moved = std::move(*first);
  EXPECT_EQ(moved.bytes()[5], 42);
  EXPECT_TRUE(first->bytes().empty());
  EXPECT_FALSE(Mapping::create(Fd()));
  EXPECT_EQ(Mapping::create(*memory_file("none", 0)).error().kind, ErrorKind::Invalid);
}

}  // namespace
}  // namespace warren::os
