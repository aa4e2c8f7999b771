// c2s:flags -march=armv8-a
#define W 4
#define NV 4
#define NC 4
#define PINV(v) __asm__ volatile("" : "+w"(v))
#define PINK(k)
#include "attention.h"

SCORES(scoresNEON)
CAP(capNEON)
MASK(maskNEON)
WEIGH(weighNEON)
VALUES(valuesNEON)
