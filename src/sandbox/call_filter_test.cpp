#include "sandbox/call_filter.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <tuple>

#include "sandbox/privileges.hpp"

namespace warren::sandbox {
namespace {

#ifndef WARREN_SANITIZED  // a sanitizer's runtime needs system calls of its own

constexpr int kSurvived = 42;
constexpr std::array kAllowed = {SCMP_SYS(write), SCMP_SYS(getpid), SCMP_SYS(exit_group),
                                 SCMP_SYS(munmap)};
constexpr std::array kRefused = {SCMP_SYS(openat), SCMP_SYS(readlink)};

/// In a process of its own: a filter, then `act`, then exit code 42.
void filtered(void (*act)()) {
  CallFilter filter;
  filter.allow(kAllowed).refuse(kRefused).allow_memory().allow_fcntl({F_GETFL});
  filter.allow_if(SCMP_SYS(socket), {equals(0, AF_INET), equals(1, SOCK_STREAM)});
  filter.refuse_if(SCMP_SYS(socket), {{Condition::Is::Greater, 0, AF_INET}});
  filter.refuse_if(SCMP_SYS(socket), {{Condition::Is::Less, 0, AF_INET}});
  if (!forbid_new_privileges() || !filter.load()) _exit(1);
  act();
  _exit(kSurvived);
}

class CallFilterDeathTest : public testing::Test {
 protected:
  CallFilterDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

const auto kEnds = testing::KilledBySignal(SIGSYS);
const auto kLives = testing::ExitedWithCode(kSurvived);

void expect_refused(long result) {
  if (result != -1 || errno != EACCES) _exit(2);
}

TEST_F(CallFilterDeathTest, WhatIsNamedWorksAndWhatIsRefusedSaysSo) {
  EXPECT_EXIT(
      filtered([] {
        if (getpid() < 2 || fcntl(0, F_GETFL) == -1) _exit(3);
        expect_refused(open("/etc/passwd", O_RDONLY));
        if (socket(AF_INET, SOCK_STREAM, 0) == -1) _exit(4);
        expect_refused(socket(AF_INET6, SOCK_STREAM, 0));
        expect_refused(socket(AF_UNIX, SOCK_STREAM, 0));
        if (mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
          _exit(5);
      }),
      kLives, "");
}

TEST_F(CallFilterDeathTest, WhatIsNotNamedEndsTheProcess) {
  EXPECT_EXIT(filtered([] { std::ignore = getuid(); }), kEnds, "");
  EXPECT_EXIT(filtered([] { std::ignore = fcntl(0, F_SETFL, 0); }), kEnds, "");
  EXPECT_EXIT(filtered([] { std::ignore = socket(AF_INET, SOCK_DGRAM, 0); }), kEnds, "");
  EXPECT_EXIT(filtered([] {
                std::ignore =
                    mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              }),
              kEnds, "");
}

#ifdef __x86_64__
/// What a call is called in the way of 32-bit programs. A kernel without that way ends the process
/// by another signal.
void call_as_i386(long number) {
  asm volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
}

TEST_F(CallFilterDeathTest, NumbersOfOtherWaysToCallEndTheProcess) {
  constexpr long kX32 = 0x40000000;
  constexpr long kGetpidOfI386 = 20;  // writev here
  constexpr long kWriteOfI386 = 4;    // stat here
  EXPECT_EXIT(filtered([] { syscall(kX32 | SYS_getpid); }), kEnds, "");
  const auto is_killed = [](int status) { return WIFSIGNALED(status); };
  EXPECT_EXIT(filtered([] { call_as_i386(kGetpidOfI386); }), is_killed, "");
  EXPECT_EXIT(filtered([] { call_as_i386(kWriteOfI386); }), is_killed, "");
  EXPECT_EXIT(filtered([] { call_as_i386(SYS_getpid); }), is_killed, "");  // pause there
}
#endif

TEST(CallFilter, IsNotLoadedWithARuleMissing) {
  CallFilter filter;
  filter.allow(kAllowed).refuse(kAllowed);  // one rule against another
  filter.allow_if(SCMP_SYS(read), {{Condition::Is::Equal, 17, 0}});
  const base::Status loaded = filter.load();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().kind, base::ErrorKind::Internal);
}

#endif

}  // namespace
}  // namespace warren::sandbox
