// Which implementation seal and open run: the first of a measured order that this processor can
// run, unless the environment names another. Bound at the first use and then only read: no file,
// no system call, nothing a sandbox could forbid.
#include <atomic>
#include <cstdlib>
#include <vector>

#include "crypto/aead_kernel.hpp"

namespace warren::crypto {

namespace {

struct Candidates {
  Candidates() {
    for (const AeadKernel* kernel : {
#if defined(__x86_64__)
             &avx512_kernel(), &avx2_kernel(),
#endif
             &openssl_kernel()}) {
      if (!kernel->supported()) continue;
      kernels.push_back(kernel);
      names.push_back(kernel->name);
    }
  }
  [[nodiscard]] const AeadKernel* find(std::string_view name) const {
    for (const AeadKernel* kernel : kernels) {
      if (kernel->name == name) return kernel;
    }
    return nullptr;
  }

  std::vector<const AeadKernel*> kernels;
  std::vector<std::string_view> names;
};

const Candidates& candidates() {
  static const Candidates& instance = *new Candidates;
  return instance;
}

constinit std::atomic<const AeadKernel*> chosen = nullptr;

const AeadKernel& bind() {
  const char* wanted = std::getenv("WARREN_AEAD");
  const AeadKernel* kernel = wanted == nullptr ? nullptr : candidates().find(wanted);
  if (kernel == nullptr) kernel = candidates().kernels.front();
  chosen.store(kernel, std::memory_order_release);
  return *kernel;
}

const AeadKernel& kernel() {
  const AeadKernel* bound = chosen.load(std::memory_order_acquire);
  return bound != nullptr ? *bound : bind();
}

}  // namespace

void seal(std::span<AeadJob> jobs) { kernel().seal(jobs); }
void open(std::span<AeadJob> jobs) { kernel().open(jobs); }
std::string_view aead_implementation() { return kernel().name; }
std::span<const std::string_view> aead_implementations() { return candidates().names; }

bool use_aead(std::string_view name) {
  const AeadKernel* found = candidates().find(name);
  if (found != nullptr) chosen.store(found, std::memory_order_release);
  return found != nullptr;
}

}  // namespace warren::crypto
