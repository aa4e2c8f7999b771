// Package engine runs large language models stored as GGUF files.
//
//	m, err := engine.Load(ctx, "model.gguf", engine.Options{})
//	defer m.Close()
//	s, err := m.NewSession()
//	defer s.Close()
//	prompt := m.Encode("Once upon a time")
//	for token, err := range s.Generate(ctx, prompt, engine.GenerateOptions{MaxTokens: 64}) {
//		fmt.Print(token.Text)
//	}
//
// A Model is the weights, read in place from the mapped file, and is shared by
// any number of Sessions at once. A Session is one text: its tokens and their
// keys and values. Package chat turns messages into text, tokenizer text into
// tokens, sample logits into a token.
package engine
