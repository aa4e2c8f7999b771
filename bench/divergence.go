package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/gollm/gollm/engine"
)

// Divergence is how far a model's predictions are from a base's, position by
// position: what llama-perplexity --kl-divergence reports.
type Divergence struct {
	nll, nllBase, kld mean
	product           float64 // Σ nll·nllBase, for their covariance
	dp, dp2           mean    // difference of the next token's probability, and its square
	same              int     // positions with the same most likely token

	klds, dps []float64 // of each position
}

// Diverge reads the base's text with the session's model and compares. After
// each chunk it calls done, if that is not nil.
func Diverge(ctx context.Context, s *engine.Session, b *Base, done func(chunk int, d *Divergence)) (*Divergence, error) {
	if v := s.Model().Info().Vocab; v != b.Vocab {
		return nil, fmt.Errorf("bench: the base has a vocabulary of %d, the model of %d", b.Vocab, v)
	}
	d := &Divergence{}
	for c := range b.Text.Chunks() {
		err := b.Text.each(ctx, s, c, func(logits []float32, next int32) error {
			base, err := b.next()
			if err == nil {
				d.add(logits, base, next)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("bench: chunk %d: %w", c+1, err)
		}
		if done != nil {
			done(c+1, d)
		}
	}
	return d, nil
}

// add compares one position: the model's logits with the base's
// log-probabilities.
func (d *Divergence) add(logits, base []float32, next int32) {
	total := logSumExp(logits)
	kld := 0.0
	best, bestBase := 0, 0
	for i, l := range logits {
		if l > logits[best] {
			best = i
		}
		lb := base[i]
		if lb > base[bestBase] {
			bestBase = i
		}
		if lb > -baseRange {
			kld += math.Exp(float64(lb)) * (float64(lb) - (float64(l) - total))
		}
	}
	nll, nllBase := total-float64(logits[next]), -float64(base[next])
	d.nll.add(nll)
	d.nllBase.add(nllBase)
	d.product += nll * nllBase
	d.kld.add(kld)
	d.klds = append(d.klds, kld)
	dp := math.Exp(-nll) - math.Exp(-nllBase)
	d.dp.add(dp)
	d.dp2.add(dp * dp)
	d.dps = append(d.dps, dp)
	if best == bestBase {
		d.same++
	}
}

// Positions returns how many positions were compared.
func (d *Divergence) Positions() int { return d.kld.n }

// Mean returns the mean Kullback-Leibler divergence of the model from the base
// and its standard error, in nats.
func (d *Divergence) Mean() (kld, err float64) { return d.kld.value(), d.kld.err() }

// SameTop returns the share of positions at which both find the same token
// the most likely, and its standard error.
func (d *Divergence) SameTop() (share, err float64) {
	p := float64(d.same) / float64(d.kld.n)
	return p, math.Sqrt(p * (1 - p) / float64(max(1, d.kld.n-1)))
}

// Scores returns both perplexities.
func (d *Divergence) Scores() (model, base Score) {
	return d.nll.perplexity(), d.nllBase.perplexity()
}

// ratio returns ln(PPL/PPL of the base) and its standard error.
func (d *Divergence) ratio() (ln, err float64) {
	return d.nll.value() - d.nllBase.value(), root(square(d.nll.err()) + square(d.nllBase.err()) - 2*d.covariance())
}

// covariance is that of the two means.
func (d *Divergence) covariance() float64 {
	n := float64(d.nll.n)
	if n < 10 {
		return 0
	}
	return (d.product/n - d.nll.value()*d.nllBase.value()) / (n - 1)
}

// rms returns the root mean square of the next token's probability difference
// and its standard error.
func (d *Divergence) rms() (v, err float64) {
	v = math.Sqrt(d.dp2.value())
	if v > 0 {
		err = 0.5 / v * d.dp2.err()
	}
	return v, err
}

func square(x float64) float64 { return x * x }
func root(x float64) float64   { return math.Sqrt(max(0, x)) }

// Header is the heading of Line's columns.
const Header = "chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence              Δp RMS            Same top p"

// Line is the state after a chunk, as llama-perplexity prints it.
func (d *Divergence) Line(chunk int) string {
	model, _ := d.Scores()
	ln, lnErr := d.ratio()
	kld, kldErr := d.Mean()
	rms, rmsErr := d.rms()
	top, topErr := d.SameTop()
	return fmt.Sprintf("%4d    %9.4f ± %9.4f    %10.5f ± %10.5f    %10.5f ± %10.5f    %6.3f ± %6.3f %%    %6.3f ± %6.3f %%",
		chunk, model.PPL, model.Error, ln, lnErr, kld, kldErr, 100*rms, 100*rmsErr, 100*top, 100*topErr)
}

// Print writes the closing statistics as llama-perplexity prints them.
func (d *Divergence) Print(w io.Writer) error {
	p := &printer{w: w}
	model, base := d.Scores()
	ln, lnErr := d.ratio()
	p.line("====== Perplexity statistics ======")
	p.line("Mean PPL(Q)                   : %10.6f ± %10.6f", model.PPL, model.Error)
	p.line("Mean PPL(base)                : %10.6f ± %10.6f", base.PPL, base.Error)
	p.line("Cor(ln(PPL(Q)), ln(PPL(base))): %6.2f%%", 100*d.covariance()/max(math.SmallestNonzeroFloat64, d.nll.err()*d.nllBase.err()))
	p.line("Mean ln(PPL(Q)/PPL(base))     : %10.6f ± %10.6f", ln, lnErr)
	p.line("Mean PPL(Q)/PPL(base)         : %10.6f ± %10.6f", math.Exp(ln), math.Exp(ln)*lnErr)
	diffErr := root(square(model.Error) + square(base.Error) - 2*model.PPL*base.PPL*d.covariance())
	p.line("Mean PPL(Q)-PPL(base)         : %10.6f ± %10.6f", model.PPL-base.PPL, diffErr)
	p.line("")

	kld, kldErr := d.Mean()
	p.line("====== KL divergence statistics ======")
	p.line("Mean    KLD: %10.6f ± %10.6f", kld, kldErr)
	p.spread(d.klds, "KLD: %10.6f", 1, []float64{1, 0.999, 0.99, 0.95, 0.9, 0.5, 0.1, 0.05, 0.01, 0.001, 0})
	p.line("")

	p.line("====== Token probability statistics ======")
	p.line("Mean    Δp: %6.3f ± %5.3f %%", 100*d.dp.value(), 100*d.dp.err())
	p.spread(d.dps, "Δp: %6.3f%%", 100, []float64{1, 0.999, 0.99, 0.95, 0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001, 0})
	rms, rmsErr := d.rms()
	p.line("RMS Δp    : %6.3f ± %5.3f %%", 100*rms, 100*rmsErr)
	top, topErr := d.SameTop()
	p.line("Same top p: %6.3f ± %5.3f %%", 100*top, 100*topErr)
	return p.err
}

// printer writes lines until one fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// spread prints the values at the given fractions of their sorted order.
func (p *printer) spread(values []float64, format string, unit float64, fractions []float64) {
	sorted := slices.Sorted(slices.Values(values))
	for _, f := range fractions {
		name := fmt.Sprintf("%4.1f%%%%  ", 100*f)
		switch f {
		case 1:
			name = "Maximum"
		case 0.5:
			name = "Median "
		case 0:
			name = "Minimum"
		}
		p.line(name+" "+format, unit*percentile(sorted, f))
	}
}

// percentile is the value at a fraction of the sorted order, between two
// values by their distance.
func percentile(sorted []float64, f float64) float64 {
	at := f * float64(len(sorted)-1)
	i := int(at)
	at -= float64(i)
	return (1-at)*sorted[i] + at*sorted[min(i+1, len(sorted)-1)]
}
