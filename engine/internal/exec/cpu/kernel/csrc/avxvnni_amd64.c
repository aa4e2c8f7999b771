// c2s:flags -mavx2 -mavxvnni -mfma -mf16c -mbmi -mbmi2 -mtune=znver4
// The kernels of avx2_amd64.c with VPDPWSSD, which multiplies pairs and adds in one.
#define VNNI
#define DPWSSD _mm256_dpwssd_avx_epi32
#include "matvec.h"

DOT32(dotQ4_0AVXVNNI, q4_0, 18, half(p), 0, 0)
DOT32(dotQ4_1AVXVNNI, q4_1, 20, half(p), half(p + 2), 1)
DOT32(dotQ5_0AVXVNNI, q5_0, 22, half(p), 0, 0)
DOT32(dotQ5_1AVXVNNI, q5_1, 24, half(p), half(p + 2), 1)
DOT32(dotQ8_0AVXVNNI, q8_0, 34, half(p), 0, 0)
DOT32(dotIQ4NLAVXVNNI, iq4_nl, 18, half(p), 0, 0)
DOT32(dotMXFP4AVXVNNI, mxfp4, 17, e8m0(p), 0, 0)
DOT256(dotQ2KAVXVNNI, q2_k, 84, 80, 2)
DOT256(dotQ3KAVXVNNI, q3_k, 110, 108, 0)
DOT256(dotQ4KAVXVNNI, q4_k, 144, 0, 1)
DOT256(dotQ5KAVXVNNI, q5_k, 176, 0, 1)
DOT256(dotQ6KAVXVNNI, q6_k, 210, 208, 0)
DOT256(dotIQ4XSAVXVNNI, iq4_xs, 136, 0, 0)

