// Hashes and what is built from them. HMAC is written out over BLAKE2s because a handshake runs
// about twenty of them on keys of one block, and EVP_MAC's HMAC re-fetches its digest each time.
#include <openssl/core_names.h>
#include <openssl/params.h>

#include "base/assert.hpp"
#include "crypto/crypto.hpp"
#include "crypto/openssl.hpp"

namespace warren::crypto {

namespace {

constexpr std::size_t kBlockSize = 64;

void digest(const EVP_MD* algorithm, base::Bytes prefix, std::initializer_list<base::Bytes> parts,
            std::span<std::uint8_t, 32> out) {
  EVP_MD_CTX* context = contexts().digest.get();
  bool ok = EVP_DigestInit_ex(context, algorithm, nullptr) == 1;
  if (!prefix.empty()) ok &= EVP_DigestUpdate(context, prefix.data(), prefix.size()) == 1;
  for (const base::Bytes part : parts) {
    if (!part.empty()) ok &= EVP_DigestUpdate(context, part.data(), part.size()) == 1;
  }
  unsigned size = 0;
  ok &= EVP_DigestFinal_ex(context, out.data(), &size) == 1;
  WARREN_ASSERT(ok && size == out.size());
}

void fill_pad(base::Bytes key, std::uint8_t with, std::span<std::uint8_t, kBlockSize> pad) {
  for (std::size_t i = 0; i < kBlockSize; ++i) {
    pad[i] = static_cast<std::uint8_t>((i < key.size() ? key[i] : 0) ^ with);
  }
}

}  // namespace

Hash blake2s(std::initializer_list<base::Bytes> parts) {
  Hash out;
  digest(algorithms().blake2s, {}, parts, out);
  return out;
}

Hash sha256(base::Bytes input) {
  Hash out;
  digest(algorithms().sha256, {}, {input}, out);
  return out;
}

Mac keyed_blake2s_128(base::Bytes key, base::Bytes input) {
  WARREN_ASSERT(!key.empty() && key.size() <= 32);
  Mac out;
  std::size_t size = out.size();
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                                   OSSL_PARAM_construct_end()};
  EVP_MAC_CTX* context = contexts().mac.get();
  bool ok = EVP_MAC_init(context, key.data(), key.size(), parameters) == 1;
  if (!input.empty()) ok &= EVP_MAC_update(context, input.data(), input.size()) == 1;
  std::size_t written = 0;
  ok &= EVP_MAC_final(context, out.data(), &written, out.size()) == 1;
  WARREN_ASSERT(ok && written == out.size());
  return out;
}

void hmac_blake2s(base::Bytes key, std::initializer_list<base::Bytes> parts,
                  std::span<std::uint8_t, 32> out) {
  Secret<32> short_key;
  if (key.size() > kBlockSize) {
    digest(algorithms().blake2s, {}, {key}, short_key.fill());
    key = short_key.view();
  }
  Secret<kBlockSize> pad;
  Secret<32> inner;
  fill_pad(key, 0x36, pad.fill());
  digest(algorithms().blake2s, pad.view(), parts, inner.fill());
  fill_pad(key, 0x5c, pad.fill());
  digest(algorithms().blake2s, pad.view(), {inner.view()}, out);
}

void kdf(base::Bytes chaining_key, base::Bytes input,
         std::initializer_list<std::span<std::uint8_t, 32>> outputs) {
  Secret<32> extracted;
  hmac_blake2s(chaining_key, {input}, extracted.fill());
  // Outputs may alias `chaining_key` or `input`: both are used up by now.
  Secret<32> previous;
  std::uint8_t index = 1;
  for (const std::span<std::uint8_t, 32> out : outputs) {
    const base::Bytes chained = index == 1 ? base::Bytes{} : base::Bytes(previous.view());
    Secret<32> next;
    hmac_blake2s(extracted.view(), {chained, base::Bytes(&index, 1)}, next.fill());
    std::memcpy(out.data(), next.view().data(), out.size());
    previous = std::move(next);
    ++index;
  }
}

}  // namespace warren::crypto
