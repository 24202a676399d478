#include "wg/cookie.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace warren::wg {

namespace {

constexpr std::string_view kMac1Label = "mac1----";
constexpr std::string_view kCookieLabel = "cookie--";

crypto::Hash labelled(std::string_view label, const base::PublicKey& key) {
  return crypto::blake2s({base::as_bytes(label), key.bytes});
}

/// Everything before mac1 and everything before mac2.
base::Bytes before_mac1(base::Bytes datagram) {
  return datagram.first(datagram.size() - kMacsSize);
}
base::Bytes before_mac2(base::Bytes datagram) { return datagram.first(datagram.size() - kMacSize); }
base::Bytes mac1_of(base::Bytes datagram) {
  return datagram.subspan(datagram.size() - kMacsSize, kMacSize);
}

}  // namespace

CookieChecker::CookieChecker(const base::PublicKey& ours, base::Duration secret_lifetime)
    : mac1_key_(labelled(kMac1Label, ours)),
      reply_key_(labelled(kCookieLabel, ours)),
      secret_lifetime_(secret_lifetime) {}

bool CookieChecker::mac1_ok(base::Bytes datagram) const {
  if (datagram.size() < kMacsSize) return false;
  const crypto::Mac expected = crypto::keyed_blake2s_128(mac1_key_, before_mac1(datagram));
  return crypto::equal_constant_time(expected, mac1_of(datagram));
}

bool CookieChecker::mac2_ok(base::Bytes datagram, const base::Endpoint& from,
                            base::Instant now) const {
  if (datagram.size() < kMacsSize) return false;
  if (!secret_born_ || now - *secret_born_ >= secret_lifetime_) return false;
  const Cookie cookie = cookie_of(from);
  const crypto::Mac expected = crypto::keyed_blake2s_128(cookie, before_mac2(datagram));
  return crypto::equal_constant_time(expected, datagram.last(kMacSize));
}

CookieReply CookieChecker::reply(base::Bytes datagram, Index sender, const base::Endpoint& from,
                                 base::Instant now, base::RandomSource& random) {
  WARREN_ASSERT(datagram.size() >= kMacsSize);
  if (!secret_born_ || now - *secret_born_ >= secret_lifetime_) {
    random.fill(secret_.fill());
    secret_born_ = now;
  }
  CookieReply out{.receiver = sender};
  random.fill(out.nonce);
  crypto::xaead_seal(reply_key_.view(), out.nonce, mac1_of(datagram), cookie_of(from),
                     out.encrypted_cookie);
  return out;
}

Cookie CookieChecker::cookie_of(const base::Endpoint& from) const {
  std::array<std::uint8_t, 18> source{};
  base::ByteWriter writer(source);
  writer.bytes(from.address.bytes()).u16_be(from.port);
  return crypto::keyed_blake2s_128(secret_.view(), base::Bytes(source).first(writer.written()));
}

CookieGenerator::CookieGenerator(const base::PublicKey& theirs, base::Duration secret_lifetime)
    : mac1_key_(labelled(kMac1Label, theirs)),
      reply_key_(labelled(kCookieLabel, theirs)),
      // The secret may have been in use for a moment before our reply was on its way.
      cookie_lifetime_(secret_lifetime - secret_lifetime / 24) {}

void CookieGenerator::add_macs(base::MutableBytes datagram, base::Instant now) {
  WARREN_ASSERT(datagram.size() > kMacsSize);
  const crypto::Mac mac1 = crypto::keyed_blake2s_128(mac1_key_, before_mac1(datagram));
  std::copy(mac1.begin(), mac1.end(), datagram.end() - kMacsSize);
  last_mac1_ = mac1;
  crypto::Mac mac2{};
  if (cookie_born_ && now - *cookie_born_ < cookie_lifetime_) {
    mac2 = crypto::keyed_blake2s_128(cookie_, before_mac2(datagram));
  }
  std::copy(mac2.begin(), mac2.end(), datagram.end() - kMacSize);
}

bool CookieGenerator::consume(const CookieReply& reply, base::Instant now) {
  if (!last_mac1_) return false;
  Cookie cookie;
  if (!crypto::xaead_open(reply_key_.view(), reply.nonce, *last_mac1_, reply.encrypted_cookie,
                          cookie)) {
    return false;
  }
  cookie_ = cookie;
  cookie_born_ = now;
  last_mac1_.reset();
  return true;
}

}  // namespace warren::wg
