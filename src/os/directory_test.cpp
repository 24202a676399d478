#include "os/directory.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "os/file.hpp"
#include "os/scratch_directory.hpp"

namespace warren::os {
namespace {

namespace fs = std::filesystem;

TEST(TakePlaceOf, ExchangesTwoDirectories) {
  const ScratchDirectory scratch;
  const std::string to = scratch.path() + "/state";
  ASSERT_TRUE(make_directories(to, 0700));
  ASSERT_TRUE(write_file_atomically(to + "/old", "1", 0600));
  const auto from = make_directory_beside(to);
  ASSERT_TRUE(from) << from.error().message;
  ASSERT_TRUE(write_file_atomically(*from + "/new", "2", 0600));
  ASSERT_TRUE(sync_tree(*from));
  ASSERT_TRUE(take_place_of(*from, to));
  EXPECT_TRUE(fs::exists(to + "/new"));
  EXPECT_TRUE(fs::exists(*from + "/old"));
  EXPECT_FALSE(fs::exists(to + "/old"));
}

TEST(TakePlaceOf, IsARenameWhereNothingIs) {
  const ScratchDirectory scratch;
  const std::string to = scratch.path() + "/state";
  const auto from = make_directory_beside(to);
  ASSERT_TRUE(from);
  ASSERT_TRUE(take_place_of(*from, to));
  EXPECT_TRUE(fs::is_directory(to));
  EXPECT_FALSE(fs::exists(*from));
  EXPECT_FALSE(take_place_of(*from, to));  // it is gone
}

}  // namespace
}  // namespace warren::os
