// Hashes and what is built from them. BLAKE2s and HMAC over it are ours (blake2s.hpp); SHA-256 is
// OpenSSL's.
#include "base/assert.hpp"
#include "crypto/blake2s.hpp"
#include "crypto/crypto.hpp"
#include "crypto/openssl.hpp"

namespace warren::crypto {

namespace {

using Pad = std::span<std::uint8_t, kBlake2sBlockSize>;

void fill_pad(base::Bytes key, std::uint8_t with, Pad pad) {
  for (std::size_t i = 0; i < pad.size(); ++i) {
    pad[i] = static_cast<std::uint8_t>((i < key.size() ? key[i] : 0) ^ with);
  }
}

/// HMAC with both pads of one key hashed once, for all messages under it.
class Hmac {
 public:
  /// A key longer than a block is hashed first, as RFC 2104 says.
  explicit Hmac(base::Bytes key) {
    Secret<32> short_key;
    if (key.size() > kBlake2sBlockSize) {
      Blake2s hash;
      hash.update(key);
      hash.finish(short_key.fill());
      key = short_key.view();
    }
    Secret<kBlake2sBlockSize> pad;
    fill_pad(key, 0x36, pad.fill());
    inner_.update(pad.view());
    fill_pad(key, 0x5c, pad.fill());
    outer_.update(pad.view());
    outer_.expect_more();
  }

  /// Several messages will come, and none of them is empty.
  void expect_messages() { inner_.expect_more(); }

  void mac(std::initializer_list<base::Bytes> parts, std::span<std::uint8_t, 32> out) const {
    Blake2s inner(inner_);
    for (const base::Bytes part : parts) inner.update(part);
    Secret<32> digest;
    inner.finish(digest.fill());
    Blake2s outer(outer_);
    outer.update(digest.view());
    outer.finish(out);
  }

 private:
  Blake2s inner_;
  Blake2s outer_;
};

}  // namespace

Hash blake2s(std::initializer_list<base::Bytes> parts) {
  Blake2s hash;
  for (const base::Bytes part : parts) hash.update(part);
  Hash out;
  hash.finish(out);
  return out;
}

Mac keyed_blake2s_128(base::Bytes key, base::Bytes input) {
  WARREN_ASSERT(!key.empty() && key.size() <= 32);
  Mac out;
  Blake2s hash(out.size(), key);
  hash.update(input);
  hash.finish(out);
  return out;
}

void hmac_blake2s(base::Bytes key, std::initializer_list<base::Bytes> parts,
                  std::span<std::uint8_t, 32> out) {
  Hmac(key).mac(parts, out);
}

void kdf(base::Bytes chaining_key, base::Bytes input,
         std::initializer_list<std::span<std::uint8_t, 32>> outputs) {
  Secret<32> extracted;
  Hmac(chaining_key).mac({input}, extracted.fill());
  // Outputs may alias `chaining_key` or `input`: both are used up by now.
  Hmac expand(extracted.view());
  expand.expect_messages();
  base::Bytes previous;
  std::uint8_t index = 1;
  for (const std::span<std::uint8_t, 32> out : outputs) {
    expand.mac({previous, base::Bytes(&index, 1)}, out);
    previous = out;
    ++index;
  }
}

Hash sha256(base::Bytes input) {
  EVP_MD_CTX* context = contexts().digest.get();
  Hash out;
  unsigned size = 0;
  bool ok = EVP_DigestInit_ex(context, algorithms().sha256, nullptr) == 1;
  if (!input.empty()) ok &= EVP_DigestUpdate(context, input.data(), input.size()) == 1;
  ok &= EVP_DigestFinal_ex(context, out.data(), &size) == 1;
  WARREN_ASSERT(ok && size == out.size());
  return out;
}

}  // namespace warren::crypto
