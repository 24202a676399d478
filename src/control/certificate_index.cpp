#include "control/certificate_index.hpp"

namespace warren::control {

void CertificateIndex::build(const store::State& state) {
  peers_.clear();
  authorities_.clear();
  for (const auto& [serial, certificate] : state.certificates) add(certificate);
}

void CertificateIndex::follow(const store::State& state, const store::Change& change) {
  if (const auto* put = std::get_if<store::PutCertificate>(&change)) {
    const auto known = state.certificates.find(put->certificate.serial);
    if (known != state.certificates.end()) remove(known->second);
    add(put->certificate);
  } else if (const auto* gone = std::get_if<store::DeleteCertificate>(&change)) {
    const auto known = state.certificates.find(gone->serial);
    if (known != state.certificates.end()) remove(known->second);
  } else if (const auto* authority = std::get_if<store::DeleteAuthority>(&change)) {
    remove_all(state, {authority->network, authority->number});
  } else if (const auto* network = std::get_if<store::DeleteNetwork>(&change)) {
    for (auto at = authorities_.lower_bound({network->id, 0});
         at != authorities_.end() && at->first.first == network->id;) {
      const AuthorityKey key = at->first;
      ++at;
      remove_all(state, key);
    }
  }
}

void CertificateIndex::add(const store::IssuedCertificate& certificate) {
  if (certificate.peer) peers_[*certificate.peer].insert(certificate.serial);
  OfAuthority& authority = authorities_[{certificate.network, certificate.authority}];
  authority.all.insert(certificate.serial);
  if (certificate.revoked.ns != 0) {
    authority.revoked.emplace(certificate.serial, certificate.revoked);
  }
}

void CertificateIndex::remove(const store::IssuedCertificate& certificate) {
  if (certificate.peer) {
    const auto peer = peers_.find(*certificate.peer);
    if (peer != peers_.end() && peer->second.erase(certificate.serial) == 1 &&
        peer->second.empty()) {
      peers_.erase(peer);
    }
  }
  const auto authority = authorities_.find({certificate.network, certificate.authority});
  if (authority == authorities_.end()) return;
  authority->second.all.erase(certificate.serial);
  authority->second.revoked.erase(certificate.serial);
}

void CertificateIndex::remove_all(const store::State& state, const AuthorityKey& authority) {
  const auto known = authorities_.find(authority);
  if (known == authorities_.end()) return;
  const Serials all = known->second.all;
  for (const std::string& serial : all) {
    const auto certificate = state.certificates.find(serial);
    if (certificate != state.certificates.end()) remove(certificate->second);
  }
  authorities_.erase(authority);
}

const CertificateIndex::Serials& CertificateIndex::of_peer(model::PeerId peer) const {
  static const Serials kNone;
  const auto found = peers_.find(peer);
  return found == peers_.end() ? kNone : found->second;
}

const CertificateIndex::Serials& CertificateIndex::of_authority(
    const AuthorityKey& authority) const {
  static const Serials kNone;
  const auto found = authorities_.find(authority);
  return found == authorities_.end() ? kNone : found->second.all;
}

const std::map<std::string, base::WallTime>& CertificateIndex::revoked(
    const AuthorityKey& authority) const {
  static const std::map<std::string, base::WallTime> kNone;
  const auto found = authorities_.find(authority);
  return found == authorities_.end() ? kNone : found->second.revoked;
}

}  // namespace warren::control
