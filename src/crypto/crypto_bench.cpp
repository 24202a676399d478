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

void seal_packet(benchmark::State& state) {
  const Aead aead(some_key());
  std::vector<std::uint8_t> text(static_cast<std::size_t>(state.range(0)));
  Mac tag;
  AeadJob job{.key = &aead, .text = text, .tag = tag.data()};
  for (auto _ : state) {
    ++job.counter;
    seal({&job, 1});
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(seal_packet)->Arg(64)->Arg(1420);

void derive(benchmark::State& state) {
  PrivateKey key = some_key();
  clamp(key);
  const base::PublicKey theirs = public_key(key);
  SharedSecret out;
  for (auto _ : state) benchmark::DoNotOptimize(x25519(key, theirs, out));
}
BENCHMARK(derive)->Name("x25519");

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

}  // namespace
}  // namespace warren::crypto
