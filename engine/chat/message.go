package chat

import (
	"fmt"
	"strings"

	"github.com/gollm/gollm/engine/chat/internal/jinja"
)

// Message is one message of a conversation: an object as OpenAI's chat API has
// it, with a role, a content and whatever else a template looks at (tool_calls,
// tool_call_id, name, reasoning_content, …). Templates tell a field that is null
// from one that is missing, 1 from 1.0, and may write a whole message with its
// fields in order; so a message read from JSON keeps all that.
//
// A Message is a value: a copy does not change with the original.
type Message struct {
	fields *jinja.Dict // not changed once the message is out of our hands
}

// NewMessage returns a message with a role ("system", "user", "assistant",
// "tool") and a text.
func NewMessage(role, content string) Message {
	return Message{jinja.NewDict("role", role, "content", content)}
}

// System returns a message of the system.
func System(content string) Message { return NewMessage("system", content) }

// User returns a message of the user.
func User(content string) Message { return NewMessage("user", content) }

// Assistant returns a message of the model.
func Assistant(content string) Message { return NewMessage("assistant", content) }

func (m Message) dict() *jinja.Dict {
	if m.fields == nil {
		return jinja.NewDict()
	}
	return m.fields
}

// Role returns the message's role.
func (m Message) Role() string {
	v, _ := m.dict().Get("role")
	role, _ := v.(string)
	return role
}

// Content returns the message's text; of a content that is a list of parts, the
// texts of its text parts.
func (m Message) Content() string {
	v, _ := m.dict().Get("content")
	switch x := v.(type) {
	case string:
		return x
	case *jinja.List:
		var b strings.Builder
		for _, e := range x.Items {
			if part, ok := e.(*jinja.Dict); ok {
				t, _ := part.Get("text")
				s, _ := t.(string)
				b.WriteString(s)
			}
		}
		return b.String()
	}
	return ""
}

// Set sets a field. A new field comes last. The value is what encoding/json can
// write, a json.RawMessage included; the keys of a Go map come sorted.
func (m *Message) Set(field string, v any) error {
	x, err := value(v, 0)
	if err != nil {
		return fmt.Errorf("chat: message field %q: %w", field, err)
	}
	fields := m.dict().Clone()
	fields.Set(field, x)
	m.fields = fields
	return nil
}

// UnmarshalJSON reads a message, a JSON object.
func (m *Message) UnmarshalJSON(b []byte) error {
	v, err := jinja.DecodeJSON(b)
	if err != nil {
		return fmt.Errorf("chat: message: %w", err)
	}
	d, ok := v.(*jinja.Dict)
	if !ok {
		return fmt.Errorf("chat: message is not a JSON object")
	}
	m.fields = d
	return nil
}

// MarshalJSON writes the message with its fields in their order.
func (m Message) MarshalJSON() ([]byte, error) {
	b, err := jinja.EncodeJSON(m.dict())
	return b, wrap(err)
}
