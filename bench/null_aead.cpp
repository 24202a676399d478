// The data path's AEAD, replaced by nothing: texts go as they are, every tag is "authentic". Linked
// into warren-engine-no-aead alone, which shows what the engine would carry if encryption were
// free: its I/O ceiling. That program is for the benchmark, protects nothing and is never
// installed; no option or environment of the shipped engine leads here.

#include <cstring>

#include "crypto/crypto.hpp"

namespace warren::crypto {

void seal(std::span<AeadJob> jobs) {
  for (AeadJob& job : jobs) std::memset(job.tag, 0, kTagSize);
}

void open(std::span<AeadJob> jobs) {
  for (AeadJob& job : jobs) job.authentic = true;
}

std::string_view aead_implementation() { return "none (benchmark)"; }

}  // namespace warren::crypto
