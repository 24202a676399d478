// The libraries that the choice was made among, called as their documentation says, beside what is
// built in: every candidate in one program, so that one run compares them
// (docs/design/0006-aead.md).
#include <benchmark/benchmark.h>
#include <openssl/evp.h>
#ifdef WARREN_BENCH_LIBRARIES
#include <intel-ipsec-mb.h>
#include <sodium.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.hpp"
#include "crypto/crypto.hpp"

namespace warren::crypto {
namespace {

AeadKey some_key() {
  AeadKey key;
  key.fill()[3] = 42;
  return key;
}

struct Packets {
  Packets(std::size_t size, std::size_t count) : memory(count), jobs(count) {
    for (std::size_t i = 0; i < count; ++i) {
      memory[i].resize(size + kTagSize);
      jobs[i] = {.key = &key,
                 .counter = i,
                 .text = base::MutableBytes(memory[i]).first(size),
                 .tag = memory[i].data() + size};
    }
  }
  Aead key{some_key()};
  std::vector<std::vector<std::uint8_t>> memory;
  std::vector<AeadJob> jobs;
};
using Sealer = std::function<void(Packets&)>;

/// A candidate must give what OpenSSL gives, or its time says nothing.
void check(const std::string& name, const Sealer& sealer) {
  Packets packets(1420, 3);
  std::vector<std::uint8_t> expected(1420 + kTagSize);
  aead_seal(packets.key.key(), 2, {}, std::vector<std::uint8_t>(1420), expected);
  sealer(packets);
  if (packets.memory[2] == expected) return;
  std::fprintf(stderr, "%s does not seal as OpenSSL does\n", name.c_str());
  std::abort();
}

/// Time per packet is the time column divided by the batch; `items` counts packets.
void add(const std::string& name, const Sealer& sealer) {
  check(name, sealer);
  for (const std::int64_t size : {64, 512, 1420, 16384}) {
    for (const std::int64_t batch : {1, 8, 32}) {
      benchmark::RegisterBenchmark(
          ("seal/" + name + "/" + std::to_string(size) + "/batch:" + std::to_string(batch)).c_str(),
          [=](benchmark::State& state) {
            Packets packets(static_cast<std::size_t>(size), static_cast<std::size_t>(batch));
            for (auto _ : state) sealer(packets);
            state.counters["per_packet"] =
                benchmark::Counter(static_cast<double>(state.iterations() * batch),
                                   benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
          });
    }
  }
}

void add_open(const std::string& name) {
  for (const std::int64_t size : {64, 1420}) {
    benchmark::RegisterBenchmark(
        ("open/" + name + "/" + std::to_string(size) + "/batch:32").c_str(),
        [=](benchmark::State& state) {
          use_aead(name);
          Packets packets(static_cast<std::size_t>(size), 32);
          seal(packets.jobs);
          const std::vector<std::vector<std::uint8_t>> sealed = packets.memory;
          for (auto _ : state) {
            for (std::size_t i = 0; i < sealed.size(); ++i) {
              std::memcpy(packets.memory[i].data(), sealed[i].data(), sealed[i].size());
            }
            open(packets.jobs);
            if (!packets.jobs[31].authentic) state.SkipWithError("does not open");
          }
          state.counters["per_packet"] =
              benchmark::Counter(static_cast<double>(state.iterations() * 32),
                                 benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
        });
  }
}

/// OpenSSL as it can be at best: both keys imported and the context made once.
void openssl_kept(benchmark::State& state) {
  const AeadKey bytes = some_key();
  EVP_PKEY* ours = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, bytes.view().data(), 32);
  EVP_PKEY* theirs = ours;
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new(ours, nullptr);
  EVP_PKEY_derive_init(context);
  EVP_PKEY_derive_set_peer_ex(context, theirs, 0);
  std::array<std::uint8_t, 32> out;
  for (auto _ : state) {
    std::size_t size = out.size();
    benchmark::DoNotOptimize(EVP_PKEY_derive(context, out.data(), &size));
  }
  EVP_PKEY_CTX_free(context);
  EVP_PKEY_free(ours);
}

void openssl_blake2s(benchmark::State& state) {
  const std::vector<std::uint8_t> text(64);
  std::array<std::uint8_t, 32> out;
  EVP_MD* algorithm = EVP_MD_fetch(nullptr, "BLAKE2S-256", nullptr);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  for (auto _ : state) {
    EVP_DigestInit_ex(context, algorithm, nullptr);
    EVP_DigestUpdate(context, text.data(), text.size());
    benchmark::DoNotOptimize(EVP_DigestFinal_ex(context, out.data(), nullptr));
  }
  EVP_MD_CTX_free(context);
  EVP_MD_free(algorithm);
}

#ifdef WARREN_BENCH_LIBRARIES

std::array<std::uint8_t, 12> nonce_of(std::uint64_t counter) {
  std::array<std::uint8_t, 12> nonce;
  base::ByteWriter(nonce).u32_le(0).u64_le(counter);
  return nonce;
}

/// Intel's library, with the code paths for at most these instructions.
using Manager = std::unique_ptr<IMB_MGR, decltype(&free_mb_mgr)>;
Manager manager(void (*start)(IMB_MGR*)) {
  Manager made(alloc_mb_mgr(0), &free_mb_mgr);
  WARREN_ASSERT(made != nullptr);
  start(made.get());
  return made;
}

void seal_directly(IMB_MGR* with, Packets& packets) {
  for (const AeadJob& job : packets.jobs) {
    const auto nonce = nonce_of(job.counter);
    chacha20_poly1305_context_data context;
    with->chacha20_poly1305_init(job.key->key().data(), &context, nonce.data(), nullptr, 0);
    with->chacha20_poly1305_enc_update(job.key->key().data(), &context, job.text.data(),
                                       job.text.data(), job.text.size());
    with->chacha20_poly1305_finalize(&context, job.tag, kTagSize);
  }
}

void seal_as_jobs(IMB_MGR* with, Packets& packets) {
  std::vector<std::array<std::uint8_t, 12>> nonces(packets.jobs.size());
  for (std::size_t i = 0; i < packets.jobs.size(); ++i) {
    const AeadJob& job = packets.jobs[i];
    nonces[i] = nonce_of(job.counter);
    IMB_JOB* next = with->get_next_job(with);
    *next = {};
    next->enc_keys = next->dec_keys = job.key->key().data();
    next->key_len_in_bytes = 32;
    next->src = next->dst = job.text.data();
    next->msg_len_to_cipher_in_bytes = next->msg_len_to_hash_in_bytes = job.text.size();
    next->iv = nonces[i].data();
    next->iv_len_in_bytes = nonces[i].size();
    next->auth_tag_output = job.tag;
    next->auth_tag_output_len_in_bytes = kTagSize;
    next->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    next->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    next->cipher_direction = IMB_DIR_ENCRYPT;
    next->chain_order = IMB_ORDER_CIPHER_HASH;
    with->submit_job(with);
  }
  while (with->flush_job(with) != nullptr) {
  }
}

void seal_with_sodium(Packets& packets) {
  for (const AeadJob& job : packets.jobs) {
    const auto nonce = nonce_of(job.counter);
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(
        job.text.data(), job.tag, nullptr, job.text.data(), job.text.size(), nullptr, 0, nullptr,
        nonce.data(), job.key->key().data());
  }
}

void sodium_x25519(benchmark::State& state) {
  const AeadKey ours = some_key();
  const base::PublicKey theirs = public_key(ours);
  std::array<std::uint8_t, 32> out;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        crypto_scalarmult_curve25519(out.data(), ours.view().data(), theirs.bytes.data()));
  }
}

void sodium_x25519_base(benchmark::State& state) {
  const AeadKey ours = some_key();
  std::array<std::uint8_t, 32> out;
  for (auto _ : state) {
    benchmark::DoNotOptimize(crypto_scalarmult_curve25519_base(out.data(), ours.view().data()));
  }
}

void add_libraries() {
  // A manager belongs to one thread; this program has one.
  static const Manager best = manager([](IMB_MGR* with) { init_mb_mgr_auto(with, nullptr); });
  static const Manager avx2 = manager(init_mb_mgr_avx2);
  add("ipsec-mb", [](Packets& packets) { seal_directly(best.get(), packets); });
  add("ipsec-mb-jobs", [](Packets& packets) { seal_as_jobs(best.get(), packets); });
  add("ipsec-mb-avx2-jobs", [](Packets& packets) { seal_as_jobs(avx2.get(), packets); });
  WARREN_ASSERT(sodium_init() >= 0);
  add("libsodium", seal_with_sodium);
  benchmark::RegisterBenchmark("x25519/libsodium", sodium_x25519);
  benchmark::RegisterBenchmark("x25519-base/libsodium", sodium_x25519_base);
}

#else

void add_libraries() {
  std::fputs("ipsec-mb and libsodium are not installed: their figures are left out\n", stderr);
}

#endif

const bool registered = [] {
  for (const std::string_view name : aead_implementations()) {
    const std::string own(name);
    add(own, [own](Packets& packets) {
      use_aead(own);
      seal(packets.jobs);
    });
    add_open(own);
  }
  benchmark::RegisterBenchmark("x25519/openssl-kept", openssl_kept);
  benchmark::RegisterBenchmark("blake2s/64/openssl", openssl_blake2s);
  add_libraries();
  return true;
}();

}  // namespace
}  // namespace warren::crypto
