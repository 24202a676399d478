#include "server/certificate_routes.hpp"

#include "base/bytes.hpp"

namespace warren::server {

namespace {

File file_of(control::RevocationDocument document, control::ListForm form) {
  return {.media_type =
              form == control::ListForm::Der ? "application/pkix-crl" : "application/x-pem-file",
          .bytes = std::move(document.content),
          .etag = '"' + document.tag + '"'};
}

base::Result<File> list_file(control::Control& control, const Call& call, control::ListForm form) {
  std::optional<std::uint32_t> authority;
  if (const auto given = call.query.find("authority"); given != call.query.end()) {
    const auto number = base::parse_number(given->second, 1, UINT32_MAX);
    if (number) authority = static_cast<std::uint32_t>(*number);
  }
  WARREN_TRY_ASSIGN(control::RevocationDocument document,
                    control.revocation_document(call.parameters[0], form, authority));
  return file_of(std::move(document), form);
}

base::Result<File> public_file(control::Control& control, const Call& call,
                               control::ListForm form) {
  WARREN_TRY_ASSIGN(control::RevocationDocument document,
                    control.published_list(call.parameters[0], form));
  return file_of(std::move(document), form);
}

void add_list_routes(RouteTable& routes, control::Control& control) {
  const QueryParameter authority{"authority", "the list of this one alone", 1, UINT32_MAX};
  routes.add_file({"GET",
                   "/v1/networks/{network}/crl.pem",
                   Reach::Network,
                   Effect::Reads,
                   "The lists of revoked certificates as PEM",
                   {authority}},
                  "application/x-pem-file", [&control](const Call& call) {
                    return list_file(control, call, control::ListForm::Pem);
                  });
  routes.add_file({"GET",
                   "/v1/networks/{network}/crl.der",
                   Reach::Network,
                   Effect::Reads,
                   "The list of the current authority as DER",
                   {authority}},
                  "application/pkix-crl", [&control](const Call& call) {
                    return list_file(control, call, control::ListForm::Der);
                  });
}

}  // namespace

void add_public_list_routes(RouteTable& routes, control::Control& control) {
  routes.add_file({"GET", "/v1/authorities/{fingerprint}/crl.pem", Reach::Filtered, Effect::Reads,
                   "What an authority revoked, as PEM"},
                  "application/x-pem-file", [&control](const Call& call) {
                    return public_file(control, call, control::ListForm::Pem);
                  });
  routes.add_file({"GET", "/v1/authorities/{fingerprint}/crl.der", Reach::Filtered, Effect::Reads,
                   "What an authority revoked, as DER"},
                  "application/pkix-crl", [&control](const Call& call) {
                    return public_file(control, call, control::ListForm::Der);
                  });
}

void add_certificate_routes(RouteTable& routes, control::Control& control) {
  routes.add<void, api::AuthorityList>(
      {"GET", "/v1/networks/{network}/ca", Reach::Network, Effect::Reads, "Who signs"},
      [&](const Call& call) { return control.show_authorities(call.parameters[0]); });
  routes.add<api::AuthorityRotate, api::AuthorityList>(
      {"POST", "/v1/networks/{network}/ca/rotate", Reach::Network, Effect::Changes,
       "Let another authority sign"},
      [&](const Call& call, const api::AuthorityRotate& asked) {
        return control.rotate_authority(std::string(call.actor), call.parameters[0], asked);
      });
  routes.add<api::CertificateSign, api::SignedCertificate>(
      {"POST", "/v1/networks/{network}/ca/sign", Reach::Network, Effect::Changes,
       "Sign a request that was made elsewhere"},
      [&](const Call& call, const api::CertificateSign& asked) {
        return control.sign_certificate(std::string(call.actor), call.parameters[0], asked);
      });
  routes.add<void, api::CertificateList>(
      {"GET", "/v1/networks/{network}/certificates", Reach::Network, Effect::Reads,
       "What was signed"},
      [&](const Call& call) { return control.list_certificates(call.parameters[0]); });
  routes.add<void, api::CertificateView>(
      {"POST", "/v1/networks/{network}/certificates/{serial}/revoke", Reach::Network,
       Effect::Changes, "Revoke one certificate"},
      [&](const Call& call) {
        return control.revoke_certificate(std::string(call.actor), call.parameters[0],
                                          call.parameters[1]);
      });
  routes.add<void, api::DoctorReport>({"GET", "/v1/doctor/certificates", Reach::Filtered,
                                       Effect::Reads, "What of the certificates runs out"},
                                      [&](const Call& call) {
                                        api::DoctorReport report = control.examine_certificates();
                                        std::erase_if(report.findings, [&](const auto& one) {
                                          return !call.scope.sees(one.network);
                                        });
                                        return report;
                                      });
  add_list_routes(routes, control);
}

}  // namespace warren::server
