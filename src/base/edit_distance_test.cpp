#include "base/edit_distance.hpp"

#include <gtest/gtest.h>

namespace warren::base {
namespace {

TEST(EditDistance, CountsInsertionsDeletionsAndReplacements) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("laptop", "laptop"), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("laptop", "lptop"), 1U);
  EXPECT_EQ(edit_distance("laptop", "lapttop"), 1U);
  EXPECT_EQ(edit_distance("laptop", "laptip"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

}  // namespace
}  // namespace warren::base
