package chat_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gollm/gollm/engine/chat"
)

func ExampleTemplate_Render() {
	t, err := chat.New(chat.ChatML, "", "<|im_end|>")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := t.Render([]chat.Message{
		chat.System("Answer in one word."),
		chat.User("What is the capital of France?"),
	}, chat.Options{GenerationPrompt: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(text)
	// Output:
	// <|im_start|>system
	// Answer in one word.<|im_end|>
	// <|im_start|>user
	// What is the capital of France?<|im_end|>
	// <|im_start|>assistant
}

// Messages can be read from the JSON of a request; templates see all their
// fields, in their order.
func ExampleMessage() {
	var messages []chat.Message
	err := json.Unmarshal([]byte(`[
		{"role": "user", "content": "Add 2 and 2."},
		{"role": "assistant", "content": null, "tool_calls": [
			{"type": "function", "function": {"name": "add", "arguments": {"b": 2, "a": 2.0}}}]}]`), &messages)
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := chat.New(`{% for m in messages %}{{ m.role }} says {{ m.content or 'nothing' }}
{% for c in m.tool_calls or [] %}call {{ c.function | tojson }}{% endfor %}{% endfor %}`, "", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := t.Render(messages, chat.Options{})
	fmt.Println(text, err)
	// Output:
	// user says Add 2 and 2.
	// assistant says nothing
	// call {"name": "add", "arguments": {"b": 2, "a": 2.0}} <nil>
}

// A template may refuse a conversation; its words are for who wrote that.
func ExampleError() {
	t, err := chat.New(`{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}`, "", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = t.Render([]chat.Message{chat.System("Be kind.")}, chat.Options{})
	var e *chat.Error
	if errors.As(err, &e) && e.Refused {
		fmt.Println("bad request:", e.Message)
	}
	// Output: bad request: System role not supported
}
