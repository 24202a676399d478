// A gateway with one network, "lab", whose members have certificates: for the tests of what becomes
// of those.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "control/control_fakes.hpp"
#include "pki/authority.hpp"

namespace warren::control::testing {

/// Whoever joined, with what lies on its disk.
struct Holder {
  std::string name;
  base::PublicKey key;
  Member member{};
  pki::RequestedCertificate made;
  std::string certificate;
};

class CertificateTest : public ::testing::Test {
 protected:
  CertificateTest() { EXPECT_TRUE(lab.create("lab")); }

  Holder join(const std::string& name, bool ephemeral = false) {
    Holder holder{.name = name, .key = lab.new_key(), .made = *pki::create_request(name)};
    const auto invitation = lab.invite("lab", name);
    EXPECT_TRUE(invitation);
    api::EnrolRequest request = lab.enrol_request(invitation->token, holder.key);
    request.ephemeral = ephemeral;
    request.certificate_request = holder.made.request_pem;
    const auto answer = lab.control->enrol(request);
    EXPECT_TRUE(answer) << answer.error().message;
    holder.certificate = answer->certificate.value_or("");
    const store::State state = lab.state();
    for (const auto& [id, peer] : state.peers) {
      if (peer.public_key == holder.key) holder.member = {.network = peer.network, .peer = id};
    }
    return holder;
  }
  void renew(Holder& holder) {
    const auto issued = lab.control->issue_certificate(holder.member, holder.made.request_pem);
    ASSERT_TRUE(issued) << issued.error().message;
    ASSERT_FALSE(issued->empty());
    holder.certificate = *issued;
  }
  std::string bundle() {
    std::string pem;
    const auto shown = lab.control->show_authorities("lab");
    for (const auto& authority : shown->authorities) pem += authority.certificates;
    return pem;
  }
  RevocationDocument list(ListForm form = ListForm::Pem) {
    const auto document = lab.control->revocation_document("lab", form, std::nullopt);
    EXPECT_TRUE(document) << document.error().message;
    return document.value_or(RevocationDocument{});
  }
  base::Status check(const std::string& certificate) {
    return pki::verify_certificate(certificate, bundle(), list().content,
                                   pki::CertificateUse::Client, lab.clock.time);
  }
  std::uint64_t list_number() {
    const auto facts =
        pki::read_revocations(list().content, pki::certificates_of(bundle()).front());
    EXPECT_TRUE(facts) << facts.error().message;
    return facts ? facts->number : 0;
  }
  std::vector<std::string> differences() {
    std::vector<std::string> found;
    const auto report = lab.control->verify("lab");
    for (const auto& difference : report->differences) {
      found.push_back(difference.what);
    }
    return found;
  }
  void pass_days(int days) { lab.clock.time = lab.clock.time + std::chrono::hours(24 * days); }

  Gateway lab;
};

}  // namespace warren::control::testing
