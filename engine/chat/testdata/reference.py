"""The reference renderer: jinja2 3.1.6, set up as transformers sets it up
(utils/chat_template_utils.py), with a fixed clock.

    reference.py JOBS.json OUT.json

JOBS.json holds {"cases": [{"case", "context"}], "templates": [{"name", "source"}]};
OUT.json gets, for every template and case, {"template", "case"} and either "text"
or "error" and "etype".

transformers' sandbox lets a template change no list and no dict, which makes the
tool calls of Kimi K2's own template fail. gollm allows it, on copies. So what fails
here for that alone is rendered again with jinja2's sandbox that allows it, and
marked "relaxed".
"""

import datetime
import json
import sys

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment, SecurityError

NOW = datetime.datetime(2026, 3, 7, 14, 5, 9)


class Generation(jinja2.ext.Extension):
    """{% generation %}: its body, in a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment(sandbox):
    env = sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


ENVIRONMENTS = environment(ImmutableSandboxedEnvironment), environment(SandboxedEnvironment)


def attempt(make):
    """The result of make(), or what it raises."""
    try:
        return make()
    except Exception as e:
        return {"error": str(e), "etype": type(e).__name__}


def render(template, context):
    text = template.render(**json.loads(json.dumps(context)))
    text.encode()  # a lone surrogate is no text
    return {"text": text}


def results(source, cases):
    strict = attempt(lambda: ENVIRONMENTS[0].from_string(source))
    for c in cases:
        if isinstance(strict, dict):
            got = strict
        else:
            got = attempt(lambda: render(strict, c["context"]))
        if got.get("etype") == SecurityError.__name__:
            relaxed = ENVIRONMENTS[1].from_string(source)
            got = attempt(lambda: render(relaxed, c["context"])) | {"relaxed": True}
        yield {"case": c["case"]} | got


def main():
    assert jinja2.__version__ == "3.1.6", jinja2.__version__
    jobs = json.load(open(sys.argv[1], encoding="utf-8"))
    out = []
    for t in jobs["templates"]:
        out += [{"template": t["name"]} | r for r in results(t["source"], jobs["cases"])]
    json.dump(out, open(sys.argv[2], "w", encoding="utf-8"), ensure_ascii=False, indent=0)


if __name__ == "__main__":
    main()
