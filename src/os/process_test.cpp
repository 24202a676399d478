#include "os/process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <thread>

#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/scratch_directory.hpp"

namespace warren::os {
namespace {

using base::ErrorKind;
using testing::ContainsRegex;
using testing::HasSubstr;

struct Pipe {
  Fd read_end;
  Fd write_end;
};

Pipe make_pipe() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

std::string read_to_end(const Fd& pipe) {
  std::string out;
  char piece[4096];
  for (ssize_t got = 0; (got = read(pipe.get(), piece, sizeof piece)) > 0;)
    out.append(piece, static_cast<std::size_t>(got));
  return out;
}

/// Runs to the end and returns what it wrote to its standard output.
std::string output_of(SpawnOptions options) {
  Pipe out = make_pipe();
  options.descriptors[1] = &out.write_end;
  const auto child = spawn(options);
  EXPECT_TRUE(child) << child.error().message;
  if (!child) return {};
  out.write_end.reset();
  std::string text = read_to_end(out.read_end);
  EXPECT_EQ(wait_for(*child).value(), 0) << text;
  return text;
}

SpawnOptions shell(const std::string& script) { return {.argv = {"/bin/sh", "-c", script}}; }

TEST(Spawn, ReportsExitCodesAndSignals) {
  EXPECT_EQ(wait_for(*spawn(shell("exit 7"))).value(), 7);
  EXPECT_EQ(wait_for(*spawn(shell("kill -TERM $$"))).value(), 128 + SIGTERM);
}

TEST(Spawn, AnExecFailureIsAnErrorAndLeavesNoChild) {
  const auto child = spawn({.argv = {"/nonexistent/program"}});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind, ErrorKind::NotFound);
  EXPECT_EQ(child.error().os_errno, ENOENT);
  EXPECT_THAT(child.error().message, HasSubstr("/nonexistent/program"));
  EXPECT_EQ(spawn({.argv = {"/dev/null"}}).error().os_errno, EACCES);
  const std::string children = "/proc/thread-self/children";
  const auto left = read_file(children);
  if (!left) GTEST_SKIP() << "no list of children: " << left.error().message;
  EXPECT_EQ(*left, "");
}

TEST(Spawn, RefusesWhatCannotWork) {
  EXPECT_EQ(spawn({}).error().kind, ErrorKind::Invalid);
  const Fd closed;
  SpawnOptions options = shell("true");
  options.descriptors[5] = &closed;
  EXPECT_EQ(spawn(options).error().kind, ErrorKind::Invalid);
  options = shell("true");
  options.working_directory = "/nonexistent";
  const auto child = spawn(options);
  ASSERT_FALSE(child);
  EXPECT_THAT(child.error().message, HasSubstr("change the directory"));
}

TEST(Spawn, PlacesDescriptorsThatSwapNumbers) {
  Pipe a = make_pipe();
  Pipe b = make_pipe();
  ASSERT_EQ(write(a.write_end.get(), "from a", 6), 6);
  ASSERT_EQ(write(b.write_end.get(), "from b", 6), 6);
  a.write_end.reset();
  b.write_end.reset();
  const int number_a = a.read_end.get();
  const int number_b = b.read_end.get();
  const std::string path_a = "/dev/fd/" + std::to_string(number_a);
  const std::string path_b = "/dev/fd/" + std::to_string(number_b);
  SpawnOptions options{.argv = {"/bin/cat", path_a, path_b}};
  options.descriptors = {{number_a, &b.read_end}, {number_b, &a.read_end}};
  EXPECT_EQ(output_of(options), "from bfrom a");
}

TEST(Spawn, GivesNothingButWhatWasNamed) {
  const Fd leaky(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Fd high(fcntl(leaky.get(), F_DUPFD, 700));
  ASSERT_TRUE(leaky.make_inheritable());
  SpawnOptions options{.argv = {"/bin/ls", "/proc/self/fd"}};
  options.descriptors = {{9, &leaky}};
  // 3 is the directory that ls reads.
  EXPECT_EQ(output_of(options), "0\n1\n2\n3\n9\n");
}

TEST(Spawn, StandardInputIsEmpty) { EXPECT_EQ(output_of({.argv = {"/bin/cat"}}), ""); }

TEST(Spawn, EnvironmentDirectoryAndSession) {
  const ScratchDirectory scratch;
  SpawnOptions options = shell("echo $COLOUR; echo ${HOME-none}; pwd");
  options.environment = std::vector<std::string>{"COLOUR=blue"};
  options.working_directory = scratch.path();
  EXPECT_EQ(output_of(options), "blue\nnone\n" + scratch.path() + "\n");

  options = shell("cut -d' ' -f1,6 /proc/$$/stat");
  options.new_session = true;
  const std::string pid_and_session = output_of(options);
  const std::size_t blank = pid_and_session.find(' ');
  EXPECT_EQ(pid_and_session.substr(0, blank) + "\n", pid_and_session.substr(blank + 1));
}

TEST(Spawn, TheChildStartsWithPlainSignals) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto handler = signal(SIGPIPE, SIG_IGN);
  const std::string status = output_of({.argv = {"/bin/cat", "/proc/self/status"}});
  signal(SIGPIPE, handler);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_THAT(status, ContainsRegex("SigBlk:\t0000000000000000"));
  // Signals 32 and 33 belong to the C library; a caller may have handed them down ignored.
  EXPECT_THAT(status, ContainsRegex("SigIgn:\t0000000[01][08]0000000"));
}

TEST(Spawn, DiesWithTheThreadThatStartedIt) {
  SpawnOptions options{.argv = {"/bin/sleep", "1000"}};
  options.die_with_parent = true;
  base::Result<Child> child = Child{};
  std::thread([&] { child = spawn(options); }).join();
  ASSERT_TRUE(child) << child.error().message;
  ASSERT_TRUE(wait_readable(child->pidfd, std::chrono::seconds(5)).value());
  EXPECT_EQ(wait_for(*child).value(), 128 + SIGKILL);
}

TEST(Child, IsWatchedAndEndedByPidfd) {
  const auto child = spawn({.argv = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(child);
  EXPECT_EQ(fcntl(child->pidfd.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(try_wait(*child), std::nullopt);
  EXPECT_FALSE(wait_readable(child->pidfd, std::chrono::milliseconds(1)).value());
  ASSERT_TRUE(send_signal(child->pidfd, SIGTERM));
  ASSERT_TRUE(wait_readable(child->pidfd, std::chrono::seconds(5)).value());
  EXPECT_EQ(try_wait(*child), 128 + SIGTERM);
  EXPECT_EQ(try_wait(*child), -1);
  EXPECT_EQ(send_signal(child->pidfd, SIGTERM).error().kind, ErrorKind::NotFound);
}

TEST(OpenPidfd, WantsTheStartTimeToo) {
  const auto child = spawn({.argv = {"/bin/sleep", "1000"}, .die_with_parent = true});
  ASSERT_TRUE(child);
  EXPECT_NE(child->start_time, 0U);
  const auto found = open_pidfd(child->pid, child->start_time);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(open_pidfd(child->pid, child->start_time + 1).error().kind, ErrorKind::NotFound);
  ASSERT_TRUE(send_signal(*found, SIGKILL));
  EXPECT_EQ(wait_for(*child).value(), 128 + SIGKILL);
  EXPECT_EQ(open_pidfd(child->pid, child->start_time).error().kind, ErrorKind::NotFound);
}

TEST(ProcessStartTime, IsNotConfusedByTheName) {
  const auto before = process_start_time(getpid());
  ASSERT_TRUE(before) << before.error().message;
  char name[16] = {};
  prctl(PR_GET_NAME, name);
  prctl(PR_SET_NAME, "a) R (1 2 3");
  const auto renamed = process_start_time(getpid());
  prctl(PR_SET_NAME, name);
  EXPECT_EQ(renamed.value(), before.value());
}

TEST(WaitReadable, EndsOnTimeAndNamesABadDescriptor) {
  const Pipe pipe = make_pipe();
  const base::Instant start = now();
  EXPECT_FALSE(wait_readable(pipe.read_end, std::chrono::milliseconds(3)).value());
  EXPECT_GE(now() - start, std::chrono::milliseconds(3));
  EXPECT_FALSE(wait_readable(pipe.read_end, std::chrono::seconds(-1)).value());
  ASSERT_EQ(write(pipe.write_end.get(), "x", 1), 1);
  EXPECT_TRUE(wait_readable(pipe.read_end, std::chrono::seconds(0)).value());
  const Fd bad(fcntl(pipe.read_end.get(), F_DUPFD_CLOEXEC, 3) + 500);
  EXPECT_EQ(wait_readable(bad, std::chrono::seconds(0)).error().os_errno, EBADF);
}

TEST(ProgramDirectory, HoldsThisTest) {
  const auto directory = program_directory();
  ASSERT_TRUE(directory);
  EXPECT_EQ(access((*directory + "/os_test").c_str(), X_OK), 0);
  EXPECT_EQ(program_path().value(), *directory + "/os_test");
}

}  // namespace
}  // namespace warren::os
