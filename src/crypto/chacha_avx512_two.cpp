// The block function of ChaCha20 for 32 blocks in the 32 registers of AVX-512, in assembly: the two
// states fill the register file to the last register, and neither GCC nor Clang keeps them there
// (they spill in every round, and the second state is then no gain at all).
//
// A core sees about a hundred instructions ahead in its vector queue, less than a round of both
// states. So the states take turns every twelve instructions: while the four quarter rounds of one
// wait for their results, those of the other run.
#include "crypto/avx512.hpp"

namespace warren::crypto {

// clang-format off
// One step of the four quarter rounds of a state: a += b, d = (d ^ a) <<< bits.
#define WARREN_ADD(a, b) "vpaddd %%zmm" #b ", %%zmm" #a ", %%zmm" #a "\n\t"
#define WARREN_XOR(d, a) "vpxord %%zmm" #a ", %%zmm" #d ", %%zmm" #d "\n\t"
#define WARREN_ROL(d, bits) "vprold $" #bits ", %%zmm" #d ", %%zmm" #d "\n\t"
#define WARREN_STEP(bits, a0, b0, d0, a1, b1, d1, a2, b2, d2, a3, b3, d3)               \
  WARREN_ADD(a0, b0) WARREN_ADD(a1, b1) WARREN_ADD(a2, b2) WARREN_ADD(a3, b3)           \
  WARREN_XOR(d0, a0) WARREN_XOR(d1, a1) WARREN_XOR(d2, a2) WARREN_XOR(d3, a3)           \
  WARREN_ROL(d0, bits) WARREN_ROL(d1, bits) WARREN_ROL(d2, bits) WARREN_ROL(d3, bits)
#define WARREN_LOAD(from, word, reg) "vmovdqa64 64*" #word "(%[" #from "]), %%zmm" #reg "\n\t"
#define WARREN_FINISH(from, to, word, reg)                       \
  "vpaddd 64*" #word "(%[" #from "]), %%zmm" #reg ", %%zmm" #reg \
  "\n\t"                                                         \
  "vmovdqa64 %%zmm" #reg ", 64*" #word "(%[" #to "])\n\t"

WARREN_AVX512 void avx512_run_two(const __m512i (&in_x)[16], const __m512i (&in_y)[16],
                                  __m512i (&out_x)[16],
                                  __m512i (&out_y)[16]) {
  int count = 10;
  asm volatile(
      WARREN_LOAD(in_x, 0, 0) WARREN_LOAD(in_x, 1, 1)
      WARREN_LOAD(in_x, 2, 2) WARREN_LOAD(in_x, 3, 3)
      WARREN_LOAD(in_x, 4, 4) WARREN_LOAD(in_x, 5, 5)
      WARREN_LOAD(in_x, 6, 6) WARREN_LOAD(in_x, 7, 7)
      WARREN_LOAD(in_x, 8, 8) WARREN_LOAD(in_x, 9, 9)
      WARREN_LOAD(in_x, 10, 10) WARREN_LOAD(in_x, 11, 11)
      WARREN_LOAD(in_x, 12, 12) WARREN_LOAD(in_x, 13, 13)
      WARREN_LOAD(in_x, 14, 14) WARREN_LOAD(in_x, 15, 15)
      WARREN_LOAD(in_y, 0, 16) WARREN_LOAD(in_y, 1, 17)
      WARREN_LOAD(in_y, 2, 18) WARREN_LOAD(in_y, 3, 19)
      WARREN_LOAD(in_y, 4, 20) WARREN_LOAD(in_y, 5, 21)
      WARREN_LOAD(in_y, 6, 22) WARREN_LOAD(in_y, 7, 23)
      WARREN_LOAD(in_y, 8, 24) WARREN_LOAD(in_y, 9, 25)
      WARREN_LOAD(in_y, 10, 26) WARREN_LOAD(in_y, 11, 27)
      WARREN_LOAD(in_y, 12, 28) WARREN_LOAD(in_y, 13, 29)
      WARREN_LOAD(in_y, 14, 30) WARREN_LOAD(in_y, 15, 31)
      ".p2align 5\n\t"
      "1:\n\t"
      WARREN_STEP(16, 0, 4, 12, 1, 5, 13, 2, 6, 14, 3, 7, 15)
      WARREN_STEP(16, 16, 20, 28, 17, 21, 29, 18, 22, 30, 19, 23, 31)
      WARREN_STEP(12, 8, 12, 4, 9, 13, 5, 10, 14, 6, 11, 15, 7)
      WARREN_STEP(12, 24, 28, 20, 25, 29, 21, 26, 30, 22, 27, 31, 23)
      WARREN_STEP(8, 0, 4, 12, 1, 5, 13, 2, 6, 14, 3, 7, 15)
      WARREN_STEP(8, 16, 20, 28, 17, 21, 29, 18, 22, 30, 19, 23, 31)
      WARREN_STEP(7, 8, 12, 4, 9, 13, 5, 10, 14, 6, 11, 15, 7)
      WARREN_STEP(7, 24, 28, 20, 25, 29, 21, 26, 30, 22, 27, 31, 23)
      WARREN_STEP(16, 0, 5, 15, 1, 6, 12, 2, 7, 13, 3, 4, 14)
      WARREN_STEP(16, 16, 21, 31, 17, 22, 28, 18, 23, 29, 19, 20, 30)
      WARREN_STEP(12, 10, 15, 5, 11, 12, 6, 8, 13, 7, 9, 14, 4)
      WARREN_STEP(12, 26, 31, 21, 27, 28, 22, 24, 29, 23, 25, 30, 20)
      WARREN_STEP(8, 0, 5, 15, 1, 6, 12, 2, 7, 13, 3, 4, 14)
      WARREN_STEP(8, 16, 21, 31, 17, 22, 28, 18, 23, 29, 19, 20, 30)
      WARREN_STEP(7, 10, 15, 5, 11, 12, 6, 8, 13, 7, 9, 14, 4)
      WARREN_STEP(7, 26, 31, 21, 27, 28, 22, 24, 29, 23, 25, 30, 20)
      "dec %[count]\n\t"
      "jnz 1b\n\t"
      WARREN_FINISH(in_x, out_x, 0, 0) WARREN_FINISH(in_x, out_x, 1, 1)
      WARREN_FINISH(in_x, out_x, 2, 2) WARREN_FINISH(in_x, out_x, 3, 3)
      WARREN_FINISH(in_x, out_x, 4, 4) WARREN_FINISH(in_x, out_x, 5, 5)
      WARREN_FINISH(in_x, out_x, 6, 6) WARREN_FINISH(in_x, out_x, 7, 7)
      WARREN_FINISH(in_x, out_x, 8, 8) WARREN_FINISH(in_x, out_x, 9, 9)
      WARREN_FINISH(in_x, out_x, 10, 10) WARREN_FINISH(in_x, out_x, 11, 11)
      WARREN_FINISH(in_x, out_x, 12, 12) WARREN_FINISH(in_x, out_x, 13, 13)
      WARREN_FINISH(in_x, out_x, 14, 14) WARREN_FINISH(in_x, out_x, 15, 15)
      WARREN_FINISH(in_y, out_y, 0, 16) WARREN_FINISH(in_y, out_y, 1, 17)
      WARREN_FINISH(in_y, out_y, 2, 18) WARREN_FINISH(in_y, out_y, 3, 19)
      WARREN_FINISH(in_y, out_y, 4, 20) WARREN_FINISH(in_y, out_y, 5, 21)
      WARREN_FINISH(in_y, out_y, 6, 22) WARREN_FINISH(in_y, out_y, 7, 23)
      WARREN_FINISH(in_y, out_y, 8, 24) WARREN_FINISH(in_y, out_y, 9, 25)
      WARREN_FINISH(in_y, out_y, 10, 26) WARREN_FINISH(in_y, out_y, 11, 27)
      WARREN_FINISH(in_y, out_y, 12, 28) WARREN_FINISH(in_y, out_y, 13, 29)
      WARREN_FINISH(in_y, out_y, 14, 30) WARREN_FINISH(in_y, out_y, 15, 31)
      : [count] "+r"(count)
      : [in_x] "r"(in_x), [in_y] "r"(in_y), [out_x] "r"(out_x), [out_y] "r"(out_y)
      : "memory", "cc",
        "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
        "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
        "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}
// clang-format on

#undef WARREN_ADD
#undef WARREN_XOR
#undef WARREN_ROL
#undef WARREN_STEP
#undef WARREN_LOAD
#undef WARREN_FINISH

}  // namespace warren::crypto
