"""Writes recorded.json: what Python's jinja2 3.1.6 makes of the templates in
constructs.txt and expressions.txt.

    python3 -m venv DIR && DIR/bin/pip install jinja2==3.1.6 markupsafe==3.0.4
    DIR/bin/python -W ignore record.py recorded.json

constructs.txt holds templates under lines "=== name"; every line of expressions.txt
is an expression of its own, but for those that begin with ##.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent.parent / "testdata"))
sys.dont_write_bytecode = True
import reference  # noqa: E402

CONTEXT = {
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": " yo ", "tool_calls": [
            {"type": "function", "function": {"name": "f", "arguments": {"z": 1, "a": [2.0, None, "é<"]}}}]},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": {}}}}],
    "add_generation_prompt": True,
    "bos_token": "<s>",
    "d": {"b": 1, "a": 2},
    "x": 0,
    "namespace_given": {"namespace": 1},
    "tree": [{"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}, {"name": "d"}]}, {"name": "e"}],
}


def templates():
    name, lines = None, []
    text = (HERE / "constructs.txt").read_text(encoding="utf-8")
    for line in text.splitlines(keepends=True) + ["=== \n"]:
        if line.startswith("=== "):
            if name is not None:
                yield name, "".join(lines).replace("␍", "\r").removesuffix("\n")
            name, lines = line[4:].rstrip("\n"), []
        else:
            lines.append(line)
    for line in (HERE / "expressions.txt").read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("##"):
            yield line, "{{ " + line + " }}"


def main():
    out = []
    for name, source in templates():
        (result,) = reference.results(source, [{"case": "", "context": CONTEXT}])
        del result["case"]
        if result.get("etype") not in (None, "TemplateError", "UndefinedError"):
            del result["error"]  # Python's words may change; that it fails does not
        out.append({"name": name, "source": source} | result)
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write(json.dumps({"context": CONTEXT}, ensure_ascii=False)[:-1] + ', "templates": [\n')
        f.write(",\n".join(json.dumps(r, ensure_ascii=False) for r in out))
        f.write("\n]}\n")


if __name__ == "__main__":
    main()
