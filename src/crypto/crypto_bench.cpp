#include <benchmark/benchmark.h>

#include <vector>

#include "crypto/crypto.hpp"

namespace warren::crypto {
namespace {

AeadKey some_key() {
  AeadKey key;
  key.fill()[3] = 42;
  return key;
}

void derive(benchmark::State& state) {
  PrivateKey key = some_key();
  clamp(key);
  const base::PublicKey theirs = public_key(key);
  SharedSecret out;
  for (auto _ : state) benchmark::DoNotOptimize(x25519(key, theirs, out));
}
BENCHMARK(derive)->Name("x25519");

void derive_kept(benchmark::State& state) {
  const X25519Key key(some_key());
  const base::PublicKey theirs = key.public_key();
  SharedSecret out;
  for (auto _ : state) benchmark::DoNotOptimize(key.derive(theirs, out));
}
BENCHMARK(derive_kept)->Name("x25519/key-kept");

void make_key(benchmark::State& state) {
  const PrivateKey bytes = some_key();
  for (auto _ : state) benchmark::DoNotOptimize(X25519Key(bytes).public_key());
}
BENCHMARK(make_key)->Name("x25519/key-made");

void derive_public(benchmark::State& state) {
  PrivateKey key = some_key();
  clamp(key);
  for (auto _ : state) benchmark::DoNotOptimize(public_key(key));
}
BENCHMARK(derive_public)->Name("x25519-base");

void hash(benchmark::State& state) {
  const std::vector<std::uint8_t> text(64);
  for (auto _ : state) benchmark::DoNotOptimize(blake2s({text}));
}
BENCHMARK(hash)->Name("blake2s/64");

void mac(benchmark::State& state) {
  const std::vector<std::uint8_t> text(116);
  const AeadKey key = some_key();
  for (auto _ : state) benchmark::DoNotOptimize(keyed_blake2s_128(key.view(), text));
}
BENCHMARK(mac)->Name("keyed_blake2s/116");

void three_keys(benchmark::State& state) {
  Hash chaining{};
  Hash second;
  Hash third;
  for (auto _ : state) kdf(chaining, second, {chaining, second, third});
}
BENCHMARK(three_keys)->Name("kdf3");

}  // namespace
}  // namespace warren::crypto
