// Told to programs that note what they are told: whichever of the two this host would use.
#include "services/host_domain.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "os/file.hpp"
#include "os/scratch_directory.hpp"

namespace warren::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class HostDomainTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"resolvectl", "resolvconf"}) write_program(name, "");
    const char* path = std::getenv("PATH");
    path_ = path == nullptr ? "" : path;
    ASSERT_EQ(setenv("PATH", (scratch_.path() + ":" + path_).c_str(), 1), 0);
    const auto service = find_name_service("lo");
    ASSERT_TRUE(service);
    resolved_ = service->kind == NameService::Kind::Resolved;
  }
  void TearDown() override { setenv("PATH", path_.c_str(), 1); }
  void write_program(const std::string& name, const std::string& end) {
    const std::string path = scratch_.path() + "/" + name;
    std::ofstream(path) << "#!/bin/sh\n{ echo \"$@\"; case $1 in -a) cat ;; esac; } >> "
                        << scratch_.path() << "/said\n"
                        << end << "\n";
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  }
  /// What was said since the last time.
  std::string said() {
    const std::string path = scratch_.path() + "/said";
    std::string out = os::read_file(path).value_or("");
    ::unlink(path.c_str());
    return out;
  }
  base::Status tell(const std::string& domain) {
    const auto told = tell_host(record_, {.link = "lo",
                                          .servers = {*base::IpAddress::parse("10.20.0.1"),
                                                      *base::IpAddress::parse("fd00::1")},
                                          .domain = domain});
    return told ? base::Status() : base::Status(told.error());
  }
  [[nodiscard]] std::string undone() const { return resolved_ ? "revert lo\n" : "-d tun0.lo -f\n"; }

  os::ScratchDirectory scratch_;
  std::string record_ = scratch_.path() + "/host";
  std::string path_;
  bool resolved_ = false;
};

TEST_F(HostDomainTest, IsToldOnceAndUntoldOnce) {
  ASSERT_TRUE(tell("lab.internal"));
  const std::string first = said();
  if (resolved_) {
    EXPECT_EQ(first, "dns lo 10.20.0.1 fd00::1\ndomain lo ~lab.internal\ndefault-route lo false\n");
  } else {
    EXPECT_EQ(first, "-a tun0.lo\nnameserver 10.20.0.1\n") << "the host's own come after it";
  }
  ASSERT_TRUE(tell("lab.internal"));
  EXPECT_THAT(said(), IsEmpty());
  ASSERT_TRUE(tell("other.internal"));
  EXPECT_THAT(said(), StartsWith(undone()));
  ASSERT_TRUE(untell_host(record_));
  EXPECT_EQ(said(), undone());
  EXPECT_NE(::access(record_.c_str(), F_OK), 0);
  ASSERT_TRUE(untell_host(record_));
  EXPECT_THAT(said(), IsEmpty());
}

TEST_F(HostDomainTest, NothingStaysOfAFailure) {
  for (const char* name : {"resolvectl", "resolvconf"}) {
    write_program(name, "case $1 in default-route | -a) echo full >&2; exit 3 ;; esac");
  }
  const base::Status told = tell("lab.internal");
  ASSERT_FALSE(told);
  EXPECT_THAT(told.error().message, HasSubstr("full"));
  EXPECT_THAT(said(), HasSubstr(undone()));
  EXPECT_NE(::access(record_.c_str(), F_OK), 0);
}

TEST_F(HostDomainTest, ARecordThatSaysNothingIsJustRemoved) {
  std::ofstream(record_) << "resolv";
  ASSERT_TRUE(untell_host(record_));
  EXPECT_THAT(said(), IsEmpty());
  EXPECT_NE(::access(record_.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace warren::services
