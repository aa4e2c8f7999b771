// Activations, numbered as package program numbers them.
#define ACT_SILU 0
#define ACT_GELU 1     // tanh approximation
#define ACT_GELU_ERF 2 // exact
#define ACT_RELU 3
#define ACT_RELU_SQUARED 4
#define ACT_SIGMOID 5
#define ACT_TANH 6
#define ACT_GPT_OSS 7 // glu only

inline float sigmoid(float x) { return 1.0f / (1.0f + exp(-x)); }

// silu as one division: for x far below 0, exp overflows to infinity and the quotient is 0 as it should.
inline float silu(float x) { return x / (1.0f + exp(-x)); }

// half_erfc is (1 - erf(x/sqrt 2))/2 for x >= 0, to 1e-7: Abramowitz & Stegun 7.1.26. MSL has no erf. gelu is made of
// this tail, so that it keeps its digits where erf has come near to 1.
inline float half_erfc(float x) {
  float z = x * 0.70710678f;
  float t = 1.0f / (1.0f + 0.3275911f * z);
  float y = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  return 0.5f * y * exp(-z * z);
}

// tanh must not be the fast one: that is exp(2x) divided by itself, which has no value for large x.
inline float activate(float x, uint act) {
  switch (act) {
  case ACT_SILU: return silu(x);
  case ACT_GELU: return 0.5f * x * (1.0f + precise::tanh(0.7978845608f * x * (1.0f + 0.044715f * x * x)));
  case ACT_GELU_ERF: return x * (x < 0.0f ? half_erfc(-x) : 1.0f - half_erfc(x));
  case ACT_RELU: return max(x, 0.0f);
  case ACT_RELU_SQUARED: return max(x, 0.0f) * max(x, 0.0f);
  case ACT_SIGMOID: return sigmoid(x);
  }
  return precise::tanh(x);
}

inline float glu(float gate, float up, uint act) {
  if (act == ACT_GPT_OSS) {
    float g = min(gate, 7.0f);
    return g * sigmoid(1.702f * g) * (clamp(up, -7.0f, 7.0f) + 1.0f);
  }
  return activate(gate, act) * up;
}
