// What certificates cost: one for a member, and the list of what is revoked at each of its sizes,
// which is what a revocation waits for.
#include "pki/authority.hpp"

#include <benchmark/benchmark.h>

#include <random>

#include "base/bytes.hpp"

namespace warren::pki {
namespace {

constexpr base::WallTime kNow{1'750'000'000'000'000'000};

class Random final : public base::RandomSource {
 public:
  void fill(base::MutableBytes out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937 engine_{7};
};

void sign_a_member(benchmark::State& state) {
  Random random;
  const auto authority = create_authority("lab", random, kNow, 3650);
  const auto request = create_request("ann");
  const Holder holder{.network = "lab", .name = "ann", .role = "member"};
  for (auto _ : state) {
    const auto issued = sign_request(*authority, request->request_pem, holder, random, kNow, 90);
    if (!issued) state.SkipWithError(issued.error().message.c_str());
  }
}
BENCHMARK(sign_a_member)->Unit(benchmark::kMicrosecond);

void sign_a_list(benchmark::State& state) {
  Random random;
  const auto authority = create_authority("lab", random, kNow, 3650);
  std::vector<RevokedCertificate> revoked;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    std::array<std::uint8_t, 16> serial{};
    random.fill(serial);
    serial[0] = 0x40;
    revoked.push_back({.serial = base::to_hex(serial), .since = kNow});
  }
  std::size_t bytes = 0;
  for (auto _ : state) {
    const auto list = sign_revocations(*authority, revoked, 1, kNow, 7);
    if (!list) return state.SkipWithError(list.error().message.c_str());
    bytes = list->der.size();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(sign_a_list)->Arg(0)->Arg(10)->Arg(1000)->Arg(10'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace warren::pki
