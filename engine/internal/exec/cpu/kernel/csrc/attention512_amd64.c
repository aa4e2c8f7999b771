// c2s:flags -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mprefer-vector-width=512
#define W 16
#define NV 2
#define NC 8
#define PINV(v) __asm__ volatile("" : "+v"(v))
#define PINK(k)
#include "attention.h"

SCORES(scoresAVX512)
CAP(capAVX512)
MASK(maskAVX512)
WEIGH(weighAVX512)
VALUES(valuesAVX512)
