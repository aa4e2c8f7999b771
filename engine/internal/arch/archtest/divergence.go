package archtest

import "math"

// Divergence compares rows of logits: the mean KL divergence of got from want, how
// many have the same largest, and the largest difference.
func Divergence(got, want [][]float32) (kl float64, same int, most float64) {
	for i, w := range want {
		p, q := logSoftmax(w), logSoftmax(got[i])
		a, b := 0, 0
		for j := range p {
			kl += math.Exp(p[j]) * (p[j] - q[j])
			most = max(most, math.Abs(float64(w[j]-got[i][j])))
			if p[j] > p[a] {
				a = j
			}
			if q[j] > q[b] {
				b = j
			}
		}
		if a == b {
			same++
		}
	}
	return kl / float64(len(want)), same, most
}

func logSoftmax(x []float32) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = max(top, float64(v))
	}
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v) - top - math.Log(sum)
	}
	return out
}
