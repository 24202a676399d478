#include "os/fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace warren::os {
namespace {

bool is_open(int number) { return fcntl(number, F_GETFD) >= 0; }

Fd any_file() { return Fd(open("/dev/null", O_RDWR | O_CLOEXEC)); }

TEST(Fd, ClosesWhenItDies) {
  int number = -1;
  {
    const Fd file = any_file();
    number = file.get();
    ASSERT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, MoveLeavesOneOwner) {
  Fd first = any_file();
  const int number = first.get();
  Fd second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): the moved-from state is the subject
  EXPECT_EQ(second.get(), number);
  Fd third = any_file();
  const int replaced = third.get();
  third = std::move(second);
  EXPECT_FALSE(is_open(replaced));
  EXPECT_TRUE(is_open(number));
}

TEST(Fd, ResetKeepsErrno) {
  Fd file = any_file();
  errno = EXDEV;
  file.reset();
  EXPECT_EQ(errno, EXDEV);
  file.reset();
}

TEST(Fd, DuplicateIsCloseOnExecAndOutlivesTheFirst) {
  Fd first = any_file();
  auto copy = first.duplicate();
  ASSERT_TRUE(copy);
  first.reset();
  EXPECT_EQ(fcntl(copy->get(), F_GETFD), FD_CLOEXEC);
  ASSERT_TRUE(copy->make_inheritable());
  EXPECT_EQ(fcntl(copy->get(), F_GETFD), 0);
  ASSERT_TRUE(copy->set_nonblocking());
  EXPECT_NE(fcntl(copy->get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(Fd, AnEmptyOneGivesErrors) {
  const Fd none;
  EXPECT_EQ(none.duplicate().error().os_errno, EBADF);
  EXPECT_FALSE(none.make_inheritable());
  EXPECT_FALSE(none.set_nonblocking());
}

}  // namespace
}  // namespace warren::os
