#include "engine/sandbox.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace warren::engine {
namespace {

#ifndef WARREN_SANITIZED  // a sanitizer's runtime needs system calls of its own

constexpr int kSurvived = 42;

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

#endif

}  // namespace
}  // namespace warren::engine
