#include "apps/warren/secret_prompt.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "os/scratch_directory.hpp"

namespace warren::app {
namespace {

using ::testing::HasSubstr;

class Secrets : public ::testing::Test {
 protected:
  base::Result<SecretFile> file(const std::string& text, mode_t mode = 0600) {
    std::ofstream(place_ / "secret") << text;
    chmod((place_ / "secret").c_str(), mode);
    return SecretFile::open(place_ / "secret");
  }
  os::ScratchDirectory place_;
};

TEST_F(Secrets, AreLinesOneAfterTheOther) {
  auto secrets = file("word with blanks \r\nsecond\nlast without an end");
  ASSERT_TRUE(secrets);
  EXPECT_EQ(*secrets->next(), "word with blanks ") << "of blanks none is taken away";
  EXPECT_EQ(*secrets->next(), "second");
  EXPECT_EQ(*secrets->next(), "last without an end");
  const auto none = secrets->next();
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("line 4 is empty"));
}

TEST_F(Secrets, AnEmptyLineIsNone) {
  for (const char* text : {"", "\n", "\r\n", "\nsecond\n"}) {
    auto secrets = file(text);
    ASSERT_TRUE(secrets);
    const auto none = secrets->next();
    ASSERT_FALSE(none) << text;
    EXPECT_EQ(none.error().kind, base::ErrorKind::Invalid);
    EXPECT_THAT(none.error().message, HasSubstr("its first line is empty"));
  }
}

TEST_F(Secrets, ALineWithoutAnEndIsRefusedAndNotCut) {
  auto secrets = file(std::string(100'000, 'x') + "\n");
  ASSERT_TRUE(secrets);
  const auto none = secrets->next();
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("its first line is longer than"));
}

TEST_F(Secrets, AFileThatOthersCanReadIsWarnedOf) {
  ::testing::internal::CaptureStderr();
  ASSERT_TRUE(file("word\n", 0640));
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("others can read it"));
  ::testing::internal::CaptureStderr();
  ASSERT_TRUE(file("word\n", 0600));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_FALSE(SecretFile::open(place_ / "missing"));
}

}  // namespace
}  // namespace warren::app
