// c2s:flags -mavx2 -mfma
#define W 8
#define NV 3
#define NC 4
#define PINV(v) __asm__ volatile("" : "+x"(v))
#define PINK(k) PIN(k)
#include "attention.h"

SCORES(scoresAVX2)
CAP(capAVX2)
MASK(maskAVX2)
WEIGH(weighAVX2)
VALUES(valuesAVX2)
