// Package bench measures models: how fast they read and write (Run, with
// llama-bench's tables), and how well they predict a text (Perplexity and
// Divergence, scored as llama-perplexity scores).
package bench
