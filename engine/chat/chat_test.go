package chat

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gollm/gollm/gguf"
)

func mustNew(t testing.TB, source string) *Template {
	t.Helper()
	tmpl, err := New(source, "<s>", "</s>")
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func render(t *testing.T, source string, messages []Message, opts Options) string {
	t.Helper()
	text, err := mustNew(t, source).Render(messages, opts)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestChatML(t *testing.T) {
	got := render(t, ChatML, []Message{System("Be kind."), User(" Hi\n")}, Options{GenerationPrompt: true})
	want := "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n Hi\n<|im_end|>\n<|im_start|>assistant\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := render(t, ChatML, []Message{User("a")}, Options{}); got != "<|im_start|>user\na<|im_end|>\n" {
		t.Errorf("without a generation prompt: %q", got)
	}
}

// TestVariables: what transformers passes to every template.
func TestVariables(t *testing.T) {
	const source = `{{ bos_token }}|{{ eos_token }}|{{ pad_token is defined }}|{{ tools is none }}|{{ documents is none }}|{{ add_generation_prompt }}|{{ thinking is defined and thinking }}|{{ n }}`
	if got := render(t, source, nil, Options{Vars: map[string]any{"thinking": true, "n": 2.0}}); got != "<s>|</s>|False|True|True|False|True|2.0" {
		t.Errorf("got %q", got)
	}
	tmpl, err := New(`{{ bos_token is defined }}{{ bos_token }}`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tmpl.Render(nil, Options{}); err != nil || got != "False" {
		t.Errorf("no bos: %q, %v", got, err)
	}
	if got, err := tmpl.Render(nil, Options{Vars: map[string]any{"bos_token": "B"}}); err != nil || got != "TrueB" {
		t.Errorf("bos in Vars: %q, %v", got, err)
	}
	tools := []json.RawMessage{json.RawMessage(`{"z": 1, "a": [1.0, 2]}`)}
	if got := render(t, `{{ tools | tojson }}`, nil, Options{Tools: tools}); got != `[{"z": 1, "a": [1.0, 2]}]` {
		t.Errorf("tools: %q", got)
	}
	if got := render(t, `{{ strftime_now("%Y-%m-%d %H:%M") }}`, nil, Options{Now: referenceTime}); got != "2026-03-07 14:05" {
		t.Errorf("clock: %q", got)
	}
}

// TestMessageJSON: a message keeps the order of its fields, null, and the kind
// of its numbers.
func TestMessageJSON(t *testing.T) {
	const in = `[{"content":null,"role":"assistant","n":[1,1.0,1e20,12345678901234567890],"z":{"b":true,"a":"é<\n"}}]`
	var messages []Message
	if err := json.Unmarshal([]byte(in), &messages); err != nil {
		t.Fatal(err)
	}
	m := messages[0]
	if m.Role() != "assistant" || m.Content() != "" {
		t.Errorf("role %q, content %q", m.Role(), m.Content())
	}
	want := `[{"content": null, "role": "assistant", "n": [1, 1.0, 1e+20, 12345678901234567890], "z": {"b": true, "a": "é<\n"}}]`
	if got := render(t, `{{ messages | tojson }}{{ messages[0].content is none }}{{ messages[0].name is defined }}`, messages, Options{}); got != want+"TrueFalse" {
		t.Errorf("got %s", got)
	}
	b, err := json.Marshal(messages)
	if err != nil {
		t.Fatal(err)
	}
	var again []Message
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if got := render(t, `{{ messages | tojson }}`, again, Options{}); got != want {
		t.Errorf("written and read again: %s", got)
	}
	for _, bad := range []string{`[1]`, `{"role": }`, `"text"`, strings.Repeat(`{"a":`, 300) + `1` + strings.Repeat(`}`, 300)} {
		if err := new(Message).UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%.40s: no error", bad)
		}
	}
}

func TestMessageSet(t *testing.T) {
	m := User("hi")
	copied := m
	type call struct {
		Name string         `json:"name"`
		Args map[string]any `json:"args"`
	}
	for field, v := range map[string]any{"tool_calls": []call{{"f", map[string]any{"b": 1.5, "a": []int{1}}}}} {
		if err := m.Set(field, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Set("content", []any{map[string]any{"type": "text", "text": "one "}, map[string]any{"type": "image"}, map[string]any{"type": "text", "text": "two"}}); err != nil {
		t.Fatal(err)
	}
	if m.Content() != "one two" || copied.Content() != "hi" {
		t.Errorf("contents %q and %q", m.Content(), copied.Content())
	}
	got := render(t, `{{ messages[0].tool_calls | tojson }}{{ messages[1] | tojson }}`, []Message{m, copied}, Options{})
	if want := `[{"name": "f", "args": {"a": [1], "b": 1.5}}]{"role": "user", "content": "hi"}`; got != want {
		t.Errorf("got %s", got)
	}
	if err := m.Set("f", func() {}); err == nil || !strings.Contains(err.Error(), `"f"`) {
		t.Errorf("a function as a field: %v", err)
	}
	loop := []any{nil}
	loop[0] = loop
	if err := m.Set("loop", loop); err == nil {
		t.Error("a list in itself as a field: no error")
	}
	if (Message{}).Role() != "" || (Message{}).Content() != "" {
		t.Error("the empty message has a role or content")
	}
}

// TestMessagesAreNotChanged: a template that changes what it gets changes its own
// copy.
func TestMessagesAreNotChanged(t *testing.T) {
	messages := []Message{User("a")}
	if err := messages[0].Set("list", []any{1}); err != nil {
		t.Fatal(err)
	}
	const source = `{% set _ = messages[0].list.append(2) %}{% set _ = messages[0].update({'content': 'b'}) %}{% set _ = messages.append(1) %}{{ messages[0].list }}{{ messages[0].content }}{{ messages | length }}`
	for range 2 {
		if got := render(t, source, messages, Options{}); got != "[1, 2]b2" {
			t.Errorf("got %q", got)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		source, want string
		refused      bool
	}{
		{"a\n{{ 1", "chat: template line 2: tag is not closed", false},
		{"a\n\n{% if true %}", "chat: template line 3: unexpected end of the template: elif or else or endif is missing", false},
		{"a\n{{ messages[0].nope.x }}", "chat: template line 2: 'dict object' has no attribute 'nope'", false},
		{"a\n{{ raise_exception('Roles must alternate') }}", "chat: the template refuses the conversation: Roles must alternate", true},
		{"{% for i in range(99999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}", "chat: template line 1: template ", false},
		{strings.Repeat(" ", 1<<20), "chat: template: template is 1048576 bytes long, the limit is 524288", false},
	} {
		tmpl, err := New(c.source, "", "")
		if err == nil {
			_, err = tmpl.Render([]Message{User("x")}, Options{})
		}
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), c.want) || e.Refused != c.refused {
			t.Errorf("%.40q: got %v, want %s", c.source, err, c.want)
		}
	}
	tmpl := mustNew(t, "")
	if _, err := tmpl.Render(nil, Options{Tools: []json.RawMessage{[]byte(`{}`), []byte(`{`)}}); err == nil || !strings.HasPrefix(err.Error(), "chat: tool 1: ") {
		t.Errorf("a bad tool: %v", err)
	}
	if _, err := tmpl.Render(nil, Options{Vars: map[string]any{"v": make(chan int)}}); err == nil || !strings.HasPrefix(err.Error(), `chat: variable "v": `) {
		t.Errorf("a bad variable: %v", err)
	}
}

func TestFromGGUF(t *testing.T) {
	open := func(pairs ...gguf.Pair) *gguf.File {
		t.Helper()
		path := filepath.Join(t.TempDir(), "m.gguf")
		writeGGUF(t, path, pairs)
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	const key = "tokenizer.chat_template"
	tmpl, err := FromGGUF(open(gguf.Pair{Key: key, Value: "default {{ bos_token }}"}, gguf.Pair{Key: key + ".tool_use", Value: "tools {{ tools | length }}"}), "<s>", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tmpl.Render(nil, Options{}); got != "default <s>" || err != nil {
		t.Errorf("no tools: %q, %v", got, err)
	}
	if got, err := tmpl.Render(nil, Options{Tools: []json.RawMessage{[]byte(`{}`)}}); got != "tools 1" || err != nil {
		t.Errorf("tools: %q, %v", got, err)
	}
	if _, err := FromGGUF(open(), "", ""); !errors.Is(err, ErrNoTemplate) {
		t.Errorf("no template: %v", err)
	}
	if _, err := FromGGUF(open(gguf.Pair{Key: key, Value: uint32(1)}), "", ""); err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("a number for a template: %v", err)
	}
	if _, err := FromGGUF(open(gguf.Pair{Key: key, Value: "{{"}), "", ""); err == nil || !strings.Contains(err.Error(), "m.gguf: chat: template line 1") {
		t.Errorf("a broken template: %v", err)
	}
}

// TestConcurrent is for the race detector: one template, messages shared.
func TestConcurrent(t *testing.T) {
	tmpl := mustNew(t, benchSource)
	messages := []Message{System("a"), User("b")}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if text, err := tmpl.Render(messages, Options{Tools: []json.RawMessage{[]byte(`{"a": 1}`)}}); err != nil || !strings.Contains(text, `{"a": 1}`) {
					t.Errorf("%q, %v", text, err)
				}
			}
		})
	}
	wg.Wait()
}

// benchSource does what the templates of models do most: namespaces, slices,
// tests, a macro, tojson and whitespace control.
const benchSource = `
{%- macro head(role) %}{{- '<|im_start|>' + role + '\n' }}{%- endmacro %}
{%- if tools %}
    {{- head('system') }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
    {%- for tool in tools %}{{- tool | tojson + '\n' }}{%- endfor %}
{%- endif %}
{%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- if message.role == 'user' and message.content is string and not message.content.startswith('<tool') %}
        {%- set ns.last = messages|length - 1 - loop.index0 %}{%- break %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'assistant' and '</think>' in content and loop.index0 < ns.last %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- head(message.role) + content | trim + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- head('assistant') }}{%- endif %}`

func BenchmarkRender20Messages(b *testing.B) {
	tmpl := mustNew(b, benchSource)
	messages := []Message{System("You are a helpful assistant.")}
	for i := range 19 {
		text := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 6)
		if i%2 == 0 {
			messages = append(messages, User(text))
		} else {
			messages = append(messages, Assistant("<think>hm</think>\n"+text))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tmpl.Render(messages, Options{GenerationPrompt: true, Now: referenceTime}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.SetBytes(int64(len(benchSource)))
	for b.Loop() {
		if _, err := New(benchSource, "", ""); err != nil {
			b.Fatal(err)
		}
	}
}

func writeGGUF(t *testing.T, path string, pairs []gguf.Pair) {
	t.Helper()
	w, err := gguf.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		if err := w.Set(p.Key, p.Value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}
