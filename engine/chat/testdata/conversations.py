"""Writes the conversations every real template is rendered with.

    conversations.py OUT.json

A context is what transformers' apply_chat_template passes: tools and documents are
None where there are none. The order of keys counts.
"""

import json
import sys


def tool(name, description, properties, required):
    return {"type": "function", "function": {
        "name": name, "description": description,
        "parameters": {"type": "object", "properties": properties, "required": required}}}


TOOLS = [
    tool("get_weather", "Get the current weather in a city.", {
        "city": {"type": "string", "description": "The city, e.g. Zürich"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Unit of temperature"},
    }, ["city"]),
    tool("add_numbers", "Add <two> numbers & return 'the' sum.", {
        "b": {"type": "number", "description": "second"},
        "a": {"type": "integer", "description": "first", "default": 1},
    }, ["b", "a"]),
]


def context(messages, **more):
    return {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": True,
            "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"} | more


def message(role, content, **more):
    return {"role": role, "content": content} | more


def call(id, name, arguments):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


HELLO = [message("user", "Hello, how are you?")]
TURNS = [
    message("system", "You are a helpful assistant."),
    message("user", "What is 2+2?"),
    message("assistant", "It is 4."),
    message("user", "And 3+3?"),
]
ARGUMENTS = {"city": "Zürich", "unit": "celsius"}


def weather(arguments, content=""):
    return [
        message("user", "What is the weather in Zürich?"),
        message("assistant", content, tool_calls=[call("call12345", "get_weather", arguments)]),
        {"role": "tool", "tool_call_id": "call12345", "name": "get_weather",
         "content": '{"temp": 21.5, "sky": "clear"}'},
    ]


# Blanks, HTML, other scripts, template syntax as text, every kind of JSON value,
# reasoning, two tool calls at once and their results.
RICH = [
    message("system", "  Be terse.\n\nUse <b>HTML</b> & \"quotes\" / 'apostrophes'.  \n"),
    message("user", "naïve 🙂 日本語 \\n tab\there <|im_start|> {{ x }} {% y %}\n\n"),
    message("assistant", "<think>\nLet me see…\n</think>\n\nAnswer: 1 < 2 && 3 > 2", reasoning_content="Let me see…"),
    message("user", "Now call it twice."),
    message("assistant", "", reasoning_content="I need both.", tool_calls=[
        call("abcdefghi", "get_weather", {
            "z": 1, "city": "O'Brien \"City\" <x>",
            "list": [1, 2.0, 1e20, 1e-7, 0.1, None, True, False, "s", []],
            "nested": {"k": {"b": -1, "a": 1.50}, "e": {}}}),
        call("jklmnopqr", "add_numbers", {"b": 2.5, "a": 123456789012}),
    ]),
    {"role": "tool", "tool_call_id": "abcdefghi", "name": "get_weather", "content": "sunny\n"},
    {"role": "tool", "tool_call_id": "jklmnopqr", "name": "add_numbers", "content": "3.0"},
    message("assistant", "Done."),
    message("user", "Thanks!"),
]
PARTS = [
    message("system", [{"type": "text", "text": "Be kind."}]),
    message("user", [{"type": "text", "text": "Describe: "}, {"type": "image"}, {"type": "text", "text": " please"}]),
]
LONG = [message("system", "You are a helpful assistant.")] + [
    message("user" if i % 2 == 0 else "assistant",
            "Message %d. " % i + "The quick brown fox jumps over the lazy dog. " * 6)
    for i in range(19)
]


def undefined(context, *names):
    return {k: v for k, v in context.items() if k not in names}


CASES = {
    "one-user-message": context(HELLO),
    "system-and-turns": context(TURNS),
    "tool-call": context(weather(ARGUMENTS), tools=TOOLS),
    "thinking-off": context(HELLO, enable_thinking=False),
    "thinking-on": context(HELLO, enable_thinking=True),
    "tool-call-arguments-as-text": context(weather(json.dumps(ARGUMENTS, ensure_ascii=False)), tools=TOOLS),
    "rich": context(RICH, tools=TOOLS),
    "tool-call-content-null": context(weather(ARGUMENTS, None), tools=TOOLS),
    "content-parts": context(PARTS),
    "tools-undefined": undefined(context(TURNS), "tools", "documents"),
    "no-generation-prompt": context(TURNS[:3], add_generation_prompt=False),
    "twenty-messages": context(LONG),
}

if __name__ == "__main__":
    cases = [{"case": name, "context": c} for name, c in CASES.items()]
    json.dump(cases, open(sys.argv[1], "w", encoding="utf-8"), ensure_ascii=False, indent=1)
