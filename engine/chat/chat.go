// Package chat turns a conversation into the text a model was trained to see,
// with the chat template that came with the model.
//
// A template is Jinja2 source, in a GGUF file under tokenizer.chat_template, and
// is rendered to the byte as Hugging Face's transformers renders it
// (apply_chat_template). It can come from anyone, so it sees nothing but the
// conversation, and is stopped when it takes too long or too much memory.
package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gollm/gollm/engine/chat/internal/jinja"
	"github.com/gollm/gollm/gguf"
)

// ChatML is the source of a template for models that come without one: the
// form that many models are trained on.
const ChatML = `{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\n' }}
{%- endif -%}`

// Template is a model's chat template. Any number of goroutines may use it at
// once.
type Template struct {
	t        *jinja.Template
	toolUse  *jinja.Template // for conversations with tools, or nil
	bos, eos string
}

// New reads a template. bos and eos are the texts of the model's tokens for the
// beginning and the end of a text, as the template may write them; an empty one
// is undefined to the template.
func New(source, bos, eos string) (*Template, error) {
	t, err := jinja.Parse(source)
	if err != nil {
		return nil, wrap(err)
	}
	return &Template{t: t, bos: bos, eos: eos}, nil
}

// ErrNoTemplate says that a model comes without a chat template.
var ErrNoTemplate = errors.New("chat: the model has no chat template")

// FromGGUF reads the template of a model file: tokenizer.chat_template and, if
// there is one, the model's other template for conversations with tools,
// tokenizer.chat_template.tool_use, which Render then takes for them as
// transformers does. bos and eos are as for New. Without a template the error is
// ErrNoTemplate.
func FromGGUF(f *gguf.File, bos, eos string) (*Template, error) {
	const key = "tokenizer.chat_template"
	source, err := gguf.GetOr(f, key, "")
	if err != nil {
		return nil, err
	}
	tools, err := gguf.GetOr(f, key+".tool_use", "")
	if err != nil {
		return nil, err
	}
	if source == "" {
		return nil, ErrNoTemplate
	}
	t, err := New(source, bos, eos)
	if err == nil && tools != "" {
		t.toolUse, err = jinja.Parse(tools)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), wrap(err))
	}
	return t, nil
}

// Options are what a template is given besides the messages.
type Options struct {
	// GenerationPrompt ends the text with the head of the assistant's next
	// message, for the model to go on from.
	GenerationPrompt bool
	// Tools are the tools the model may call, each a JSON object as OpenAI's
	// chat API has it. They are given to the template in their order, fields too.
	Tools []json.RawMessage
	// Vars are more variables, such as enable_thinking. They stand before the
	// template's own, so they can replace bos_token too. Values are what
	// encoding/json can write; the keys of a Go map come sorted.
	Vars map[string]any
	// Now is the time the template tells; zero is the time of the call.
	Now time.Time
}

// Render writes the conversation as the model wants it. Errors of the template
// are of type *Error; the messages are not changed.
func (t *Template) Render(messages []Message, opts Options) (string, error) {
	list := &jinja.List{Items: make([]jinja.Value, len(messages))}
	for i, m := range messages {
		list.Items[i] = m.dict().Clone()
	}
	vars := jinja.NewDict("messages", list, "tools", nil, "documents", nil,
		"add_generation_prompt", opts.GenerationPrompt)
	if t.bos != "" {
		vars.Set("bos_token", t.bos)
	}
	if t.eos != "" {
		vars.Set("eos_token", t.eos)
	}
	if len(opts.Tools) > 0 {
		tools := &jinja.List{}
		for i, raw := range opts.Tools {
			tool, err := jinja.DecodeJSON(raw)
			if err != nil {
				return "", fmt.Errorf("chat: tool %d: %w", i, err)
			}
			tools.Items = append(tools.Items, tool)
		}
		vars.Set("tools", tools)
	}
	for name, x := range opts.Vars {
		v, err := value(x, 0)
		if err != nil {
			return "", fmt.Errorf("chat: variable %q: %w", name, err)
		}
		vars.Set(name, v)
	}
	return t.render(vars, opts.Now)
}

func (t *Template) render(vars *jinja.Dict, now time.Time) (string, error) {
	if now.IsZero() {
		now = time.Now()
	}
	tmpl := t.t
	if tools, _ := vars.Get("tools"); tools != nil && t.toolUse != nil {
		tmpl = t.toolUse
	}
	text, err := tmpl.Render(vars, now, jinja.LimitsFor(jinja.Size(vars)))
	return text, wrap(err)
}

// Error is what is wrong with a template, or what a template finds wrong with a
// conversation.
type Error struct {
	// Line is the template's line, from 1; 0 if there is none to name.
	Line int
	// Message says what is wrong.
	Message string
	// Refused is set where the template itself refused the conversation, for
	// instance because the roles do not take turns. The message is the
	// template's then, for the one who sent the conversation.
	Refused bool
}

func (e *Error) Error() string {
	switch {
	case e.Refused:
		return "chat: the template refuses the conversation: " + e.Message
	case e.Line > 0:
		return fmt.Sprintf("chat: template line %d: %s", e.Line, e.Message)
	}
	return "chat: template: " + e.Message
}

func wrap(err error) error {
	var e *jinja.Error
	if errors.As(err, &e) {
		return &Error{Line: e.Line, Message: e.Msg, Refused: e.Raised}
	}
	return err
}

// value makes a template's value of a Go value.
func value(x any, depth int) (jinja.Value, error) {
	if depth > 100 {
		return nil, errors.New("nested too deeply")
	}
	switch x := x.(type) {
	case nil, bool, string, float64, int64:
		return x, nil
	case int:
		return int64(x), nil
	case []any:
		l := &jinja.List{Items: make([]jinja.Value, len(x))}
		for i, e := range x {
			v, err := value(e, depth+1)
			if err != nil {
				return nil, err
			}
			l.Items[i] = v
		}
		return l, nil
	case map[string]any:
		d := jinja.NewDict()
		for _, k := range sortedKeys(x) {
			v, err := value(x[k], depth+1)
			if err != nil {
				return nil, err
			}
			d.Set(k, v)
		}
		return d, nil
	case Message:
		return x.dict().Clone(), nil
	}
	raw, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	return jinja.DecodeJSON(raw)
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
