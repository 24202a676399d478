#include "engine/sandbox.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/limits.hpp"

namespace warren::engine {
namespace {

#ifndef WARREN_SANITIZED  // a sanitizer's runtime needs system calls of its own

constexpr int kSurvived = 42;
constexpr int kPatienceMs = 2000;

/// In a process of its own: the sandbox, then `act`, then exit code 42.
void lock_and(void (*act)()) {
  if (!enter_sandbox()) _exit(1);
  act();
  _exit(kSurvived);
}

class SandboxDeathTest : public testing::Test {
 protected:
  SandboxDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(SandboxDeathTest, TheLoopsOwnCallsWork) {
  EXPECT_EXIT(lock_and([] {
                std::string text(1 << 20, 'x');  // memory
                char byte = 0;
                if (read(-1, &byte, 1) != -1) _exit(2);
                if (text.size() != 1 << 20) _exit(3);
              }),
              testing::ExitedWithCode(kSurvived), "");
}

TEST_F(SandboxDeathTest, OpeningAFileKills) {
  EXPECT_EXIT(lock_and([] { std::ignore = open("/etc/passwd", O_RDONLY); }),
              testing::KilledBySignal(SIGSYS), "");
  EXPECT_EXIT(lock_and([] { std::ignore = openat(AT_FDCWD, "x", O_RDWR | O_CREAT, 0600); }),
              testing::KilledBySignal(SIGSYS), "");
}

TEST_F(SandboxDeathTest, SocketsProcessesAndProgramsKill) {
  EXPECT_EXIT(lock_and([] { std::ignore = socket(AF_INET, SOCK_STREAM, 0); }),
              testing::KilledBySignal(SIGSYS), "");
  EXPECT_EXIT(lock_and([] { std::ignore = fork(); }), testing::KilledBySignal(SIGSYS), "");
  EXPECT_EXIT(lock_and([] {
                char* const none[] = {nullptr};
                execve("/bin/true", none, none);
              }),
              testing::KilledBySignal(SIGSYS), "");
  EXPECT_EXIT(lock_and([] { std::ignore = setuid(0); }), testing::KilledBySignal(SIGSYS), "");
}

/// Locks itself together with a thread, which then does `act`.
void lock_with_thread(void (*act)()) {
  std::latch begun(1);
  std::latch locked(1);
  std::thread thread;
  const auto report = enter_sandbox([&]() -> base::Status {
    thread = std::thread([&] {
      begun.count_down();
      locked.wait();
      act();
      _exit(kSurvived);
    });
    begun.wait();
    return {};
  });
  if (!report) _exit(1);
  locked.count_down();
  thread.join();
}

TEST_F(SandboxDeathTest, AThreadThatWasThereBeforeIsLockedToo) {
  EXPECT_EXIT(lock_with_thread([] { std::ignore = socket(AF_INET, SOCK_STREAM, 0); }),
              testing::KilledBySignal(SIGSYS), "");
  EXPECT_EXIT(lock_with_thread([] { std::ignore = open("/etc/passwd", O_RDONLY); }),
              testing::KilledBySignal(SIGSYS), "");
  EXPECT_EXIT(lock_with_thread([] { std::string text(1 << 20, 'x'); }),
              testing::ExitedWithCode(kSurvived), "");
}

TEST_F(SandboxDeathTest, AThreadMayGiveMuchMemoryBack) {
  EXPECT_EXIT(lock_with_thread([] {
                using Block = std::array<char, 64 << 10>;
                std::vector<std::unique_ptr<Block>> many;
                for (int i = 0; i < 500; ++i) many.push_back(std::make_unique<Block>());
                while (!many.empty()) many.pop_back();
              }),
              testing::ExitedWithCode(kSurvived), "");
}

TEST_F(SandboxDeathTest, AnotherThreadKills) {
  EXPECT_EXIT(lock_and([] { std::thread([] {}).join(); }), testing::KilledBySignal(SIGSYS), "");
}

TEST_F(SandboxDeathTest, ExecutableMemoryKills) {
  EXPECT_EXIT(lock_and([] {
                std::ignore =
                    mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              }),
              testing::KilledBySignal(SIGSYS), "");
  EXPECT_EXIT(lock_and([] {
                void* page =
                    mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                std::ignore = mprotect(page, 4096, PROT_READ | PROT_EXEC);
              }),
              testing::KilledBySignal(SIGSYS), "");
}

void read_terminal() {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) _exit(2);
  const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
  if (terminal < 0 || dup2(terminal, 2) < 0) _exit(3);
  close(terminal);
  if (write(master, "secret\n", 7) != 7) _exit(4);
  lock_and([] {
    char byte = 0;
    if (read(2, &byte, 1) != -1 || errno != EBADF) _exit(5);
    if (write(2, "x", 1) != 1) _exit(6);
  });
}

TEST_F(SandboxDeathTest, ATerminalCanBeWrittenToAndNotRead) {
  EXPECT_EXIT(read_terminal(), testing::ExitedWithCode(kSurvived), "");
}

void fill_log() {
  const int file = memfd_create("log", 0);
  if (file < 0 || dup2(file, 2) < 0) _exit(2);
  lock_and([] {
    const std::string text(kMaxLogGrowth, 'x');
    if (write(2, text.data(), text.size()) != ssize_t{kMaxLogGrowth}) _exit(3);
    if (write(2, "x", 1) != -1 || errno != EFBIG) _exit(4);
  });
}

TEST_F(SandboxDeathTest, AFullLogLosesLinesAndNothingElse) {
  EXPECT_EXIT(fill_log(), testing::ExitedWithCode(kSurvived), "");
}

void write_to_closed_pipe() {
  int ends[2];
  if (pipe(ends) < 0 || dup2(ends[1], 2) < 0) _exit(2);
  close(ends[0]);
  close(ends[1]);
  lock_and([] {
    if (write(2, "x", 1) != -1 || errno != EPIPE) _exit(3);
  });
}

TEST_F(SandboxDeathTest, AClosedPipeLosesLinesAndNothingElse) {
  EXPECT_EXIT(write_to_closed_pipe(), testing::ExitedWithCode(kSurvived), "");
}

/// Forks a process that dies with its parent, is locked, and then waits with `held` open; ends
/// itself when the lock is on.
[[noreturn]] void leave_a_locked_child(int held) {
  const int locked = eventfd(0, 0);
  if (fork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (!enter_sandbox()) _exit(1);
    const std::uint64_t one = 1;
    std::ignore = write(locked, &one, sizeof one);
    poll(nullptr, 0, 2 * kPatienceMs);
    _exit(1);
  }
  close(held);
  std::uint64_t count = 0;
  _exit(read(locked, &count, sizeof count) == sizeof count ? kSurvived : 1);
}

void outlive_no_parent() {
  int ends[2];
  if (pipe(ends) < 0) _exit(2);
  const pid_t parent = fork();
  if (parent == 0) leave_a_locked_child(ends[1]);
  close(ends[1]);
  int status = 0;
  if (waitpid(parent, &status, 0) != parent || WEXITSTATUS(status) != kSurvived) {
    _exit(3);
  }
  pollfd end{.fd = ends[0], .events = POLLIN};  // hangs up when the child is gone
  _exit(poll(&end, 1, kPatienceMs) == 1 ? kSurvived : 4);
}

TEST_F(SandboxDeathTest, ItStillDiesWithItsParent) {
  EXPECT_EXIT(outlive_no_parent(), testing::ExitedWithCode(kSurvived), "");
}

#endif

}  // namespace
}  // namespace warren::engine
