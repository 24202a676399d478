// The members of the documents of api/certificates.hpp; see api/fields.hpp. Private to this module.
#pragma once

#include "api/certificates.hpp"

namespace warren::api {

template <typename Visitor>
struct CertificateFields {
  Visitor& v;

  template <typename D>
  void of(AuthorityView*, D& d) {
    v.required("number", d.number);
    v.required("current", d.current);
    v.required("brought", d.brought);
    v.required("chain", d.chain);
    v.required("certificates", d.certificates);
    v.required("good", d.good);
    v.required("revoked", d.revoked);
    v.required("list_number", d.list_number);
    v.required("awaits", d.awaits);
  }

  template <typename D>
  void of(AuthorityView::Facts*, D& d) {
    v.required("subject", d.subject);
    v.required("issuer", d.issuer);
    v.required("fingerprint", d.fingerprint);
    v.required("not_before", d.not_before);
    v.required("not_after", d.not_after);
  }

  template <typename D>
  void of(AuthorityList*, D& d) {
    v.required("network", d.network);
    v.required("authorities", d.authorities);
  }

  template <typename D>
  void of(AuthorityRotate*, D& d) {
    v.optional("ca_certificates", d.ca_certificates);
    v.optional("ca_key", d.ca_key);
    v.optional("drop_old", d.drop_old);
  }

  template <typename D>
  void of(CertificateSign*, D& d) {
    v.required("certificate_request", d.certificate_request);
    v.optional("server", d.server);
    v.optional("dns_names", d.dns_names);
    v.optional("addresses", d.addresses);
    v.optional("peer", d.peer);
    v.optional("days", d.days);
  }

  template <typename D>
  void of(SignedCertificate*, D& d) {
    v.required("network", d.network);
    v.required("name", d.name);
    v.required("serial", d.serial);
    v.required("not_after", d.not_after);
    v.required("certificate", d.certificate);
    v.required("authorities", d.authorities);
  }

  template <typename D>
  void of(CertificateView*, D& d) {
    v.required("serial", d.serial);
    v.required("authority", d.authority);
    v.required("name", d.name);
    v.required("role", d.role);
    v.required("of_peer", d.of_peer);
    v.required("issued", d.issued);
    v.required("not_after", d.not_after);
    v.required("revoked", d.revoked);
  }

  template <typename D>
  void of(CertificateList*, D& d) {
    v.required("network", d.network);
    v.required("certificates", d.certificates);
  }

  template <typename D>
  void of(DoctorReport*, D& d) {
    v.required("findings", d.findings);
  }

  template <typename D>
  void of(DoctorReport::Finding*, D& d) {
    v.required("network", d.network);
    v.required("what", d.what);
    v.required("state", d.state);
    v.required("text", d.text);
    v.required("remedy", d.remedy);
    v.required("days_left", d.days_left);
  }
};

}  // namespace warren::api
