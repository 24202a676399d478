#include "client/certificate_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/scratch_directory.hpp"
#include "pki/authority.hpp"

namespace warren::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr base::WallTime kNow{1'750'000'000'000'000'000};

base::WallTime after_days(std::int64_t days) { return kNow + std::chrono::hours(24 * days); }

/// A member's files, and the authority that signs for it.
class Files : public ::testing::Test {
 protected:
  pki::Authority authority(std::uint32_t number = 1) {
    return *pki::create_authority("lab", random_, kNow, 3650, number);
  }
  api::EnrolAnswer signed_by(const pki::Authority& who, const std::string& request,
                             const std::string& name = "ann", base::WallTime now = kNow) {
    api::EnrolAnswer answer;
    answer.authorities = who.certificate_pem;
    const auto issued = pki::sign_request(
        who, request,
        {.network = "lab", .name = name, .role = "member", .dns_names = {}, .addresses = {}},
        random_, now, 90);
    EXPECT_TRUE(issued);
    answer.certificate = issued->certificate_pem;
    return answer;
  }
  std::optional<std::string> needed(base::WallTime now = kNow, const std::string& peer = "ann") {
    auto request = needed_request(files_, peer, now);
    EXPECT_TRUE(request) << request.error().message;
    return request.value_or(std::nullopt);
  }
  std::string content(const std::string& path) { return os::read_file(path).value_or(""); }

  os::SystemRandom random_;
  os::ScratchDirectory scratch_;
  CertificateFiles files_ = certificate_files(scratch_.path(), "lab");
  pki::Authority own_ = authority();
};

TEST_F(Files, AnotherOneIsNeededForEachGoodReasonAndForNoOther) {
  const auto first = needed();
  ASSERT_TRUE(first) << "there is none";
  struct stat info{};
  ASSERT_EQ(::stat(files_.key.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  const std::string key = content(files_.key);
  ASSERT_TRUE(keep_certificate(files_, signed_by(own_, *first)));
  EXPECT_FALSE(needed());
  EXPECT_FALSE(needed(after_days(59)));
  EXPECT_TRUE(needed(after_days(61))) << "two thirds are over";
  EXPECT_TRUE(needed(after_days(200)));
  EXPECT_TRUE(needed(kNow, "anna")) << "she has another name";
  EXPECT_EQ(content(files_.key), key) << "the key stays";

  api::EnrolAnswer rolled;
  rolled.authorities = authority(2).certificate_pem + own_.certificate_pem;
  ASSERT_TRUE(keep_certificate(files_, rolled));
  EXPECT_TRUE(needed()) << "it is not of the current authority";
  rolled.authorities = own_.certificate_pem + authority(2).certificate_pem;
  ASSERT_TRUE(keep_certificate(files_, rolled));
  EXPECT_FALSE(needed());

  ASSERT_TRUE(os::write_file_atomically(files_.certificate, "edited", 0600));
  EXPECT_TRUE(needed());
}

TEST_F(Files, WhatIsNotOursIsRefusedAndChangesNothing) {
  const auto request = needed();
  ASSERT_TRUE(keep_certificate(files_, signed_by(own_, *request)));
  const std::string certificate = content(files_.certificate);
  const std::string authorities = content(files_.authorities);
  const auto refused = [&](const api::EnrolAnswer& answer) {
    const base::Status kept = keep_certificate(files_, answer);
    return !kept && kept.error().kind == base::ErrorKind::Invalid;
  };
  EXPECT_TRUE(refused(signed_by(own_, pki::create_request("ann")->request_pem))) << "another key";
  api::EnrolAnswer foreign = signed_by(own_, *request);
  foreign.authorities = authority(2).certificate_pem;
  EXPECT_TRUE(refused(foreign)) << "of another authority";
  api::EnrolAnswer leaf;
  leaf.authorities = certificate;
  EXPECT_TRUE(refused(leaf)) << "no authority";
  api::EnrolAnswer odd = signed_by(own_, *request);
  odd.certificate = "PostUp = rm -rf /";
  EXPECT_TRUE(refused(odd));
  EXPECT_EQ(content(files_.certificate), certificate);
  EXPECT_EQ(content(files_.authorities), authorities);
  EXPECT_TRUE(keep_certificate(files_, {})) << "a gateway without authorities";
}

TEST_F(Files, ANewOneTakesNothingAway) {
  auto made = new_certificate(scratch_.path(), "member");
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(keep_new_certificate(made->files, made->key_pem, signed_by(own_, made->request_pem)));
  const auto again = new_certificate(scratch_.path(), "member");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, base::ErrorKind::Conflict);
  EXPECT_THAT(again.error().message, HasSubstr("member.crt"));
  EXPECT_FALSE(new_certificate(scratch_.path() + "/nowhere", "member"));
  EXPECT_THAT(remove_certificate(made->files),
              ElementsAre(made->files.certificate, made->files.key, made->files.authorities));
  EXPECT_THAT(remove_certificate(made->files), ElementsAre());
}

}  // namespace
}  // namespace warren::client
