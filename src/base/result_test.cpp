#include "base/result.hpp"

#include <gtest/gtest.h>

namespace warren::base {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return make_error(ErrorKind::Invalid, "odd number", "give an even one");
  return value / 2;
}

Result<int> quarter(int value) {
  WARREN_TRY_ASSIGN(const int first, half(value).within("first half"));
  WARREN_TRY_ASSIGN(const int second, half(first).within("second half"));
  return second;
}

Status check(int value) {
  WARREN_TRY(half(value));
  return {};
}

TEST(Result, PassesValuesThrough) { EXPECT_EQ(*quarter(12), 3); }

TEST(Result, ContextIsAddedOutermostFirst) {
  const auto result = quarter(6);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "second half: odd number");
  EXPECT_EQ(result.error().hint, "give an even one");
  EXPECT_EQ(result.error().kind, ErrorKind::Invalid);
}

TEST(Result, TryOnStatus) {
  EXPECT_TRUE(check(2));
  EXPECT_FALSE(check(3));
}

TEST(Result, TheInnermostHintStays) {
  const Error error =
      make_error(ErrorKind::Failed, "deep", "inner remedy").with_hint("outer remedy");
  EXPECT_EQ(error.hint, "inner remedy");
  EXPECT_EQ(make_error(ErrorKind::Failed, "deep").with_hint("outer remedy").hint, "outer remedy");
}

TEST(Result, ErrnoDecidesTheKind) {
  EXPECT_EQ(os_error("open", EACCES).kind, ErrorKind::NotPermitted);
  EXPECT_EQ(os_error("open", ENOENT).kind, ErrorKind::NotFound);
  EXPECT_EQ(os_error("bind", EADDRINUSE).kind, ErrorKind::Conflict);
  EXPECT_EQ(os_error("bind", EADDRINUSE).message, "bind: Address already in use");
  EXPECT_EQ(os_error("bind", EADDRINUSE).os_errno, EADDRINUSE);
}

}  // namespace
}  // namespace warren::base
