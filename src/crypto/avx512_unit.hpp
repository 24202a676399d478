// The AVX-512 vector unit (F, BW, DQ, VL, IFMA). Private to this module.
#pragma once

#include "crypto/aead_lanes.hpp"

namespace warren::crypto {

void avx512_poly_keys(Group group, PolyKeys& keys);
void avx512_crypt(Group group);
void avx512_macs(Group group, const PolyKeys& keys, PolyTags& tags);
/// The same, packet by packet, for at most eight.
void avx512_macs_of_few(Group group, const PolyKeys& keys, PolyTags& tags);

}  // namespace warren::crypto
