#include "os/name_service.hpp"

#include <gtest/gtest.h>

namespace warren::os {
namespace {

TEST(NameService, TellsTheLineOfAUserAndAGroup) {
  EXPECT_TRUE(user_line(0).value_or("").starts_with("root:"));
  EXPECT_TRUE(group_line(0).value_or("").starts_with("root:"));
}

TEST(NameService, SaysNothingAboutANumberThatNobodyHas) {
  EXPECT_EQ(user_line(4'123'456'789U), std::nullopt);
  EXPECT_EQ(group_line(4'123'456'789U), std::nullopt);
}

}  // namespace
}  // namespace warren::os
