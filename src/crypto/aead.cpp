// ChaCha20-Poly1305 of single messages, with OpenSSL; packets go through aead_choice.cpp.
// XChaCha20-Poly1305 needs HChaCha20, which OpenSSL does not offer by itself but contains: its
// ChaCha20 takes 16 bytes of counter and nonce, and the key stream is the permuted state plus the
// input state. Subtracting the known input words 0..3 and 12..15 leaves HChaCha20's output.

#include "base/assert.hpp"
#include "crypto/crypto.hpp"
#include "crypto/openssl.hpp"

namespace warren::crypto {

namespace {

enum class Direction : int { Open = 0, Seal = 1 };

using Nonce = std::array<std::uint8_t, 12>;

Nonce nonce_of(std::uint64_t counter) {
  Nonce nonce{};
  base::ByteWriter(nonce).u32_le(0).u64_le(counter);
  return nonce;
}

void set_key(EVP_CIPHER_CTX* context, base::Bytes key) {
  WARREN_ASSERT(EVP_CipherInit_ex2(context, algorithms().chacha20_poly1305, key.data(), nullptr, 1,
                                   nullptr) == 1);
}

bool start(EVP_CIPHER_CTX* context, std::uint64_t counter, base::Bytes aad, Direction direction) {
  const Nonce nonce = nonce_of(counter);
  if (EVP_CipherInit_ex2(context, nullptr, nullptr, nonce.data(), static_cast<int>(direction),
                         nullptr) != 1) {
    return false;
  }
  int written = 0;
  return aad.empty() || EVP_CipherUpdate(context, nullptr, &written, aad.data(),
                                         static_cast<int>(aad.size())) == 1;
}

bool transform(EVP_CIPHER_CTX* context, base::Bytes in, base::MutableBytes out) {
  WARREN_ASSERT(in.size() == out.size() && in.size() < (1U << 30));
  int written = 0;
  return in.empty() || (EVP_CipherUpdate(context, out.data(), &written, in.data(),
                                         static_cast<int>(in.size())) == 1 &&
                        static_cast<std::size_t>(written) == in.size());
}

void seal_with(EVP_CIPHER_CTX* context, std::uint64_t counter, base::Bytes aad, base::Bytes in,
               base::MutableBytes out, std::span<std::uint8_t, kTagSize> tag) {
  std::array<std::uint8_t, 16> nothing;
  int written = 0;
  const bool ok = start(context, counter, aad, Direction::Seal) && transform(context, in, out) &&
                  EVP_CipherFinal_ex(context, nothing.data(), &written) == 1 &&
                  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagSize, tag.data()) == 1;
  WARREN_ASSERT(ok);
}

bool open_with(EVP_CIPHER_CTX* context, std::uint64_t counter, base::Bytes aad, base::Bytes in,
               base::MutableBytes out, std::span<const std::uint8_t, kTagSize> tag) {
  Mac expected;
  std::memcpy(expected.data(), tag.data(), tag.size());
  const bool ready =
      start(context, counter, aad, Direction::Open) &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagSize, expected.data()) == 1 &&
      transform(context, in, out);
  WARREN_ASSERT(ready);
  std::array<std::uint8_t, 16> nothing;
  int written = 0;
  return EVP_CipherFinal_ex(context, nothing.data(), &written) == 1;
}

std::uint32_t load(base::Bytes from, std::size_t word) {
  return base::ByteReader(from.subspan(word * 4, 4)).u32_le();
}

void hchacha20(std::span<const std::uint8_t, 32> key, base::Bytes nonce16, AeadKey& out) {
  static constexpr std::array<std::uint32_t, 4> kSigma = {0x61707865, 0x3320646e, 0x79622d32,
                                                          0x6b206574};
  EVP_CIPHER_CTX* context = contexts().stream.get();
  Secret<64> block;
  int written = 0;
  const bool ok = EVP_EncryptInit_ex2(context, algorithms().chacha20, key.data(), nonce16.data(),
                                      nullptr) == 1 &&
                  EVP_EncryptUpdate(context, block.fill().data(), &written, block.view().data(),
                                    static_cast<int>(block.view().size())) == 1;
  WARREN_ASSERT(ok && EVP_CIPHER_CTX_reset(context) == 1);
  base::ByteWriter writer(out.fill());
  for (std::size_t i = 0; i < 4; ++i) writer.u32_le(load(block.view(), i) - kSigma[i]);
  for (std::size_t i = 0; i < 4; ++i) writer.u32_le(load(block.view(), 12 + i) - load(nonce16, i));
}

}  // namespace

void aead_seal(std::span<const std::uint8_t, 32> key, std::uint64_t counter, base::Bytes aad,
               base::Bytes plaintext, base::MutableBytes out) {
  WARREN_ASSERT(out.size() == plaintext.size() + kTagSize);
  EVP_CIPHER_CTX* context = contexts().aead.get();
  set_key(context, key);
  seal_with(context, counter, aad, plaintext, out.first(plaintext.size()), out.last<kTagSize>());
  EVP_CIPHER_CTX_reset(context);
}

bool aead_open(std::span<const std::uint8_t, 32> key, std::uint64_t counter, base::Bytes aad,
               base::Bytes ciphertext, base::MutableBytes out) {
  if (ciphertext.size() < kTagSize || out.size() != ciphertext.size() - kTagSize) return false;
  EVP_CIPHER_CTX* context = contexts().aead.get();
  set_key(context, key);
  const bool good = open_with(context, counter, aad, ciphertext.first(out.size()), out,
                              ciphertext.last<kTagSize>());
  EVP_CIPHER_CTX_reset(context);
  if (!good) wipe(out);
  return good;
}

void xaead_seal(std::span<const std::uint8_t, 32> key, std::span<const std::uint8_t, 24> nonce,
                base::Bytes aad, base::Bytes plaintext, base::MutableBytes out) {
  AeadKey subkey;
  hchacha20(key, nonce.first<16>(), subkey);
  aead_seal(subkey.view(), base::ByteReader(nonce.last<8>()).u64_le(), aad, plaintext, out);
}

bool xaead_open(std::span<const std::uint8_t, 32> key, std::span<const std::uint8_t, 24> nonce,
                base::Bytes aad, base::Bytes ciphertext, base::MutableBytes out) {
  AeadKey subkey;
  hchacha20(key, nonce.first<16>(), subkey);
  return aead_open(subkey.view(), base::ByteReader(nonce.last<8>()).u64_le(), aad, ciphertext, out);
}

}  // namespace warren::crypto
