package bench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// The base file of llama-perplexity's --kl-divergence-base, little-endian:
//
//	"_logits_"  n_ctx int32  n_vocab int32  n_chunk int32
//	tokens      n_chunk·n_ctx int32
//	then for each chunk, for each scored position:
//	scale float32  min float32  n_vocab uint16, padded to an even number
//
// Token i's log-probability is scale·uint16[i] + min: 16 bits over at most 16
// nats below the most likely token.

const baseMagic = "_logits_"

// baseRange is how far below the largest logit the file reaches.
const baseRange = 16

// BaseWriter writes a base file.
type BaseWriter struct {
	w   *bufio.Writer
	row []byte
}

// NewBaseWriter writes the header of a base file for the text and a vocabulary.
// Perplexity writes the positions; Flush ends the file.
func NewBaseWriter(w io.Writer, t Text, vocab int) (*BaseWriter, error) {
	b := &BaseWriter{w: bufio.NewWriterSize(w, 1<<20), row: make([]byte, rowBytes(vocab))}
	head := []byte(baseMagic)
	for _, v := range []int{t.Context, vocab, t.Chunks()} {
		head = binary.LittleEndian.AppendUint32(head, uint32(v))
	}
	for _, id := range t.Tokens {
		head = binary.LittleEndian.AppendUint32(head, uint32(id))
	}
	_, err := b.w.Write(head)
	return b, err
}

// rowBytes is the size of one position.
func rowBytes(vocab int) int { return 8 + 2*((vocab+1)/2*2) }

func (b *BaseWriter) write(logits []float32) error {
	top, low := slices.Max(logits), slices.Min(logits)
	low = max(low, top-baseRange)
	scale := (top - low) / 65535
	least := float64(low) - logSumExp(logits)
	clear(b.row)
	binary.LittleEndian.PutUint32(b.row, math.Float32bits(scale))
	binary.LittleEndian.PutUint32(b.row[4:], math.Float32bits(float32(least)))
	if scale > 0 {
		for i, v := range logits {
			if v > low {
				q := math.RoundToEven(float64((v - low) / scale))
				binary.LittleEndian.PutUint16(b.row[8+2*i:], uint16(min(q, 65535)))
			}
		}
	}
	_, err := b.w.Write(b.row)
	return err
}

// Flush writes out what is buffered.
func (b *BaseWriter) Flush() error { return b.w.Flush() }

// Base is an open base file: the text it was made of, and its positions in
// order.
type Base struct {
	Text  Text
	Vocab int

	r    *bufio.Reader
	row  []byte
	logp []float32
}

// NewBase reads the header of a base file of size bytes.
func NewBase(r io.Reader, size int64) (*Base, error) {
	b := &Base{r: bufio.NewReaderSize(r, 1<<20)}
	head := make([]byte, len(baseMagic)+12)
	if _, err := io.ReadFull(b.r, head); err != nil || string(head[:len(baseMagic)]) != baseMagic {
		return nil, errors.New("bench: not a file of base logits: it does not begin with " + baseMagic)
	}
	field := func(i int) int64 { return int64(int32(binary.LittleEndian.Uint32(head[len(baseMagic)+4*i:]))) }
	context, vocab, chunks := field(0), field(1), field(2)
	if context < 4 || vocab < 1 || chunks < 1 {
		return nil, fmt.Errorf("bench: base logits of %d chunks of %d tokens with a vocabulary of %d", chunks, context, vocab)
	}
	// Checked before memory is taken; the product of two int31 fits.
	if n := context * chunks; n > size/4 {
		return nil, fmt.Errorf("bench: base logits: %d tokens do not fit a file of %d bytes", n, size)
	}
	if int64(rowBytes(int(vocab))) > size {
		return nil, fmt.Errorf("bench: base logits: a vocabulary of %d does not fit a file of %d bytes", vocab, size)
	}
	ids := make([]byte, 4*context*chunks)
	if _, err := io.ReadFull(b.r, ids); err != nil {
		return nil, fmt.Errorf("bench: base logits: tokens: %w", err)
	}
	b.Text = Text{Context: int(context), Tokens: make([]int32, context*chunks)}
	for i := range b.Text.Tokens {
		id := int32(binary.LittleEndian.Uint32(ids[4*i:]))
		if id < 0 || int64(id) >= vocab {
			return nil, fmt.Errorf("bench: base logits: token %d is %d, outside the vocabulary of %d", i, id, vocab)
		}
		b.Text.Tokens[i] = id
	}
	rows := chunks * int64(b.Text.Scored())
	if room := size - int64(len(head)+len(ids)); rows > room/int64(rowBytes(int(vocab))) {
		return nil, fmt.Errorf("bench: base logits: %d positions of %d bytes do not fit the %d bytes left: the file is cut off", rows, rowBytes(int(vocab)), room)
	}
	b.Vocab = int(vocab)
	b.row = make([]byte, rowBytes(b.Vocab))
	b.logp = make([]float32, vocab)
	return b, nil
}

// next returns the log-probabilities of the next position, valid until the next
// call.
func (b *Base) next() ([]float32, error) {
	if _, err := io.ReadFull(b.r, b.row); err != nil {
		return nil, fmt.Errorf("base logits end early: %w", err)
	}
	scale := math.Float32frombits(binary.LittleEndian.Uint32(b.row))
	least := math.Float32frombits(binary.LittleEndian.Uint32(b.row[4:]))
	if !(scale >= 0 && scale <= math.MaxFloat32 && math.Abs(float64(least)) <= math.MaxFloat32) {
		return nil, fmt.Errorf("base logits with a scale of %v from %v", scale, least)
	}
	for i := range b.logp {
		b.logp[i] = scale*float32(binary.LittleEndian.Uint16(b.row[8+2*i:])) + least
	}
	return b.logp, nil
}
