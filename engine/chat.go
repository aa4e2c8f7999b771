package engine

import (
	"strings"

	"github.com/gollm/gollm/engine/chat"
	"github.com/gollm/gollm/engine/tokenizer"
)

// Template returns the model's own chat template, or chat.ErrNoTemplate.
func (m *Model) Template() (*chat.Template, error) {
	m.templateOnce.Do(func() {
		m.template, m.templateErr = chat.FromGGUF(m.file, m.tokenText(m.tok.BOS()), m.tokenText(m.tok.EOS()))
	})
	return m.template, m.templateErr
}

func (m *Model) tokenText(id int32) string {
	if id < 0 {
		return ""
	}
	return m.tok.Text(id)
}

// ChatPrompt renders messages through the model's chat template and returns
// the tokens of the whole conversation, up to where the assistant speaks next.
// Session.Generate reads only what is new of it. For a model without a template the error is
// chat.ErrNoTemplate.
func (m *Model) ChatPrompt(messages []chat.Message, o chat.Options) ([]int32, error) {
	t, err := m.Template()
	if err != nil {
		return nil, err
	}
	o.GenerationPrompt = true
	text, err := t.Render(messages, o)
	if err != nil {
		return nil, err
	}
	// Templates write the BOS token out that the tokenizer would add again.
	if m.tok.AddBOS() {
		text = strings.TrimPrefix(text, m.tokenText(m.tok.BOS()))
	}
	return m.tok.Encode(text, tokenizer.Options{AddSpecial: true, ParseSpecial: true}), nil
}
