// The AVX2 vector unit. Private to this module. As with avx512.hpp, functions carry the target.
#pragma once

#include "crypto/aead_lanes.hpp"

#define WARREN_AVX2 [[gnu::target("avx2")]]
#define WARREN_AVX2_INLINE [[gnu::always_inline, gnu::target("avx2")]] inline

namespace warren::crypto {

void avx2_poly_keys(Group group, PolyKeys& keys);
void avx2_crypt(Group group);
void avx2_macs(Group group, const PolyKeys& keys, PolyTags& tags);

}  // namespace warren::crypto
