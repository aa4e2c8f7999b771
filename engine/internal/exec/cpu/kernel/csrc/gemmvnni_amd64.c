// c2s:flags -mavx2 -mfma -mf16c -mbmi -mbmi2 -mavxvnni
// The products of gemm_amd64.c with VPDPWSSD, which multiplies pairs and adds in one.
#define VNNI
#include "gemm.h"
#include "gemm256.h"

GEMM(gemmAVXVNNI, 6, 0)
GEMM(gemmMinAVXVNNI, 6, 1)
GEMM(gemmMin2AVXVNNI, 6, 2)
