// The implementation that runs everywhere: OpenSSL, packet by packet, on one context per thread
// that is given key and nonce in one call and that forgets the last key when a batch is done.
#include "base/assert.hpp"
#include "crypto/aead_kernel.hpp"
#include "crypto/openssl.hpp"

namespace warren::crypto {

namespace {

enum class Direction : int { Open = 0, Seal = 1 };

bool start(EVP_CIPHER_CTX* context, base::Bytes key, std::uint64_t counter, Direction direction) {
  std::array<std::uint8_t, 12> nonce;
  base::ByteWriter(nonce).u32_le(0).u64_le(counter);
  return EVP_CipherInit_ex2(context, nullptr, key.data(), nonce.data(), static_cast<int>(direction),
                            nullptr) == 1;
}

bool transform(EVP_CIPHER_CTX* context, base::MutableBytes text) {
  WARREN_ASSERT(text.size() < (1U << 30));
  int written = 0;
  return text.empty() || (EVP_CipherUpdate(context, text.data(), &written, text.data(),
                                           static_cast<int>(text.size())) == 1 &&
                          static_cast<std::size_t>(written) == text.size());
}

bool finish(EVP_CIPHER_CTX* context) {
  std::array<std::uint8_t, 16> nothing;
  int written = 0;
  return EVP_CipherFinal_ex(context, nothing.data(), &written) == 1;
}

void forget_key(EVP_CIPHER_CTX* context) {
  static constexpr std::array<std::uint8_t, 32> kNoKey{};
  WARREN_ASSERT(start(context, kNoKey, 0, Direction::Seal));
}

void seal_all(std::span<AeadJob> jobs) {
  EVP_CIPHER_CTX* context = contexts().packets.get();
  for (const AeadJob& job : jobs) {
    WARREN_ASSERT(start(context, job.key->key(), job.counter, Direction::Seal) &&
                  transform(context, job.text) && finish(context) &&
                  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagSize, job.tag) == 1);
  }
  forget_key(context);
}

void open_all(std::span<AeadJob> jobs) {
  EVP_CIPHER_CTX* context = contexts().packets.get();
  for (AeadJob& job : jobs) {
    WARREN_ASSERT(start(context, job.key->key(), job.counter, Direction::Open) &&
                  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagSize, job.tag) == 1 &&
                  transform(context, job.text));
    job.authentic = finish(context);
  }
  forget_key(context);
}

}  // namespace

const AeadKernel& openssl_kernel() {
  static constexpr AeadKernel kKernel{
      .name = "openssl", .supported = [] { return true; }, .seal = seal_all, .open = open_all};
  return kKernel;
}

}  // namespace warren::crypto
