package jinja

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// hostile are templates that would take a renderer without limits down.
var hostile = map[string]string{
	"range":                  "{% for i in range(1000000000) %}x{% endfor %}",
	"nested loops":           "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
	"empty nested loops":     "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
	"macro recursion":        "{% macro m(n) %}{{ m(n+1) }}{% endmacro %}{{ m(0) }}",
	"macro recursion, wide":  "{% macro a(x) %}{% for i in range(10) %}{{ a(x) }}{% endfor %}{% endmacro %}{{ a(1) }}",
	"caller recursion":       "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{% call m() %}{% endcall %}{{ m() }}",
	"loop recursion":         "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
	"text times":             "{{ 'x' * 10000000000 }}",
	"list times":             "{{ [1] * 10000000000 }}",
	"text doubled":           "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s|length }}",
	"list doubled":           "{% set ns = namespace(s=[1]) %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s|length }}",
	"list extended by it":    "{% set l = [1] %}{% for i in range(60) %}{% set _ = l.extend(l) %}{% endfor %}",
	"list in itself":         "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
	"list in itself, tojson": "{% set l = [] %}{% set _ = l.append(l) %}{{ l|tojson }}",
	"list in itself, equal":  "{% set l = [] %}{% set _ = l.append(l) %}{% set m = [] %}{% set _ = m.append(m) %}{{ l == m }}",
	"dict in itself":         "{% set d = {} %}{% set _ = d.update(a=d) %}{{ d }}",
	"shared lists, printed":  "{% set ns = namespace(s=[]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
	"shared lists, tojson":   "{% set ns = namespace(s=[]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s|tojson }}",
	"shared lists, equal":    "{% set ns = namespace(s=[], t=[]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}",
	"shared tuples, hashed":  "{% set ns = namespace(s=()) %}{% for i in range(60) %}{% set ns.s = (ns.s, ns.s) %}{% endfor %}{{ {ns.s: 1} }}",
	"deep list":              "{% set ns = namespace(s=[]) %}{% for i in range(90000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
	"deep list, tojson":      "{% set ns = namespace(s=[]) %}{% for i in range(90000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s|tojson }}",
	"deep tuple, compared":   "{% set ns = namespace(s=(), t=()) %}{% for i in range(90000) %}{% set ns.s = (ns.s,) %}{% set ns.t = (ns.t,) %}{% endfor %}{{ ns.s < ns.t }}",
	"generators in a row":    "{% set ns = namespace(g=[1]) %}{% for i in range(90000) %}{% set ns.g = ns.g|map('string') %}{% endfor %}{{ ns.g|list }}",
	"unique in a row":        "{% set ns = namespace(g=[1]) %}{% for i in range(90000) %}{% set ns.g = ns.g|unique %}{% endfor %}{{ ns.g|list }}",
	"batch in a row":         "{% set ns = namespace(g=[1]) %}{% for i in range(90000) %}{% set ns.g = ns.g|batch(1) %}{% endfor %}{{ ns.g|list }}",
	"searches of long text":  "{% set s = 'x' * 10000000 %}{% for i in range(99999) %}{% if 'y' in s %}{% endif %}{% endfor %}",
	"lengths of long text":   "{% set s = 'x' * 10000000 %}{% for i in range(99999) %}{{ s|length }}{% endfor %}",
	"items of long text":     "{% set s = 'x' * 10000000 %}{% for i in range(99999) %}{% if s[5] %}{% endif %}{% endfor %}",
	"upper of long text":     "{% set s = 'x' * 10000000 %}{% for i in range(99999) %}{% set t = s.upper() %}{% endfor %}",
	"strip of long text":     "{% set s = ' ' * 10000000 %}{% for i in range(99999) %}{% set t = s.strip() %}{% endfor %}",
	"strip by a long set":    "{% set s = 'x' * 1000000 %}{% for i in range(99999) %}{% set t = s.strip('abcdefghijklmnopqrstuvwyz' * 30 + 'x') %}{% endfor %}",
	"split of long text":     "{% set s = 'a ' * 10000000 %}{{ s.split() }}",
	"replace makes more":     "{{ ('x' * 100000).replace('x', 'y' * 100000)|length }}",
	"replace of nothing":     "{{ ('x' * 100000).replace('', 'y' * 100000)|length }}",
	"join makes more":        "{{ ('x' * 100000)|join('y' * 100000)|length }}",
	"comparison of long":     "{% set s = 'x' * 10000000 %}{% set t = s ~ '' %}{% for i in range(99999) %}{% if s == t %}{% endif %}{% endfor %}",
	"long keys":              "{% set s = 'x' * 10000000 %}{% set d = {s: 1} %}{% for i in range(99999) %}{% if d[s ~ ''] %}{% endif %}{% endfor %}",
	"removed keys":           "{% set d = dict() %}{% for i in range(90000) %}{% set _ = d.setdefault(i, i) %}{% endfor %}{% for i in range(90000) %}{% set _ = d.pop(i) %}{% endfor %}{% for i in range(99999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}",
	"many variables":         "{% for i in range(99999) %}" + manySets(20000) + "{% endfor %}",
	"many arguments":         "{% set d = dict() %}{% for i in range(90000) %}{% set _ = d.setdefault(i ~ '', i) %}{% endfor %}{% set e = dict(**d) %}{% for i in range(99999) %}{% set e = dict(**d) %}{% endfor %}",
	"sort":                   "{% set l = range(99999)|list %}{% for i in range(99999) %}{% set m = l|sort(reverse=true) %}{% endfor %}",
	"sum of texts":           "{{ ['x' * 100000] * 10000 | sum(start=[]) }}{% set ns = namespace(s='') %}{% for i in range(99999) %}{% set ns.s = ns.s ~ 'xxxxxxxxxxxxxxxx' %}{% endfor %}{% for i in range(99999) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
	"slices of lists":        "{% set l = range(99999)|list %}{% for i in range(99999) %}{% set m = l[::-1] %}{% endfor %}",
	"list.index":             "{% set l = range(99999)|list %}{% for i in range(99999) %}{% set m = l.index(99998) %}{% endfor %}",
	"list.pop":               "{% for i in range(99999) %}{% set l = range(99999)|list %}{% for i in range(99999) %}{% set m = l.pop(0) %}{% endfor %}{% endfor %}",
	"power":                  "{{ 10**100000000 }}",
	"power of power":         "{{ 9**9**9**9**9 }}",
	"float power":            "{{ 10.0**1000 }}",
	"growing number":         "{% set ns = namespace(n=3) %}{% for i in range(99999) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
	"large products":         "{% set n = 2**4000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% set m = n * n // n %}{% endfor %}{% endfor %}",
	"large numbers printed":  "{% set n = 2**4000 %}{% for i in range(99999) %}{% for j in range(99999) %}{% set m = n|string %}{% endfor %}{% endfor %}",
	"center":                 "{{ 'a'|center(9999999999) }}",
	"ljust":                  "{{ 'a'.ljust(9223372036854775807) }}",
	"zfill":                  "{{ 'a'.zfill(9223372036854775807) }}",
	"expandtabs":             "{{ ('\\t' * 1000000).expandtabs(1000000)|length }}",
	"% width":                "{{ '%9999999999d'|format(1) }}",
	"% star":                 "{{ '%*d' % (999999999999, 1) }}",
	"% precision":            "{{ '%.999999999f' % 1.0 }}",
	"format width":           "{{ '{:9999999999}'.format(1) }}",
	"many widths":            "{{ ('%4000d' * 100000) % ((1,) * 100000) }}",
	"indent":                 "{{ 'a'|indent(9999999999, true) }}",
	"indent of lines":        "{{ ('a\\n' * 100000)|indent(100000)|length }}",
	"tojson indent":          "{{ [1]|tojson(indent=9999999999) }}",
	"tojson separators":      "{{ ([1] * 100000)|tojson(separators=('x' * 100000, 'y')) }}",
	"batch fill":             "{{ [1]|batch(9999999999, 'x')|list }}",
	"slice filter":           "{{ [1]|slice(9999999999)|list }}",
	"truncate":               "{% for i in range(99999) %}{{ ('x' * 1000000)|truncate(999999) }}{% endfor %}",
	"strftime":               "{{ strftime_now('%A' * 10000000) }}",
	"output":                 "{% for i in range(99999) %}{{ 'x' * 10000 }}{% endfor %}",
	"captured output":        "{% for i in range(99999) %}{% set s %}{{ 'x' * 10000 }}{% endset %}{% endfor %}",
	"unhashable":             "{{ {[]: 1} }}",
	"deep brackets":          "{{ " + strings.Repeat("(", 200000) + "1" + strings.Repeat(")", 200000) + " }}",
	"deep lists":             "{{ " + strings.Repeat("[", 200000) + strings.Repeat("]", 200000) + " }}",
	"deep dicts":             "{{ " + strings.Repeat("{1:", 100000) + "1" + strings.Repeat("}", 100000) + " }}",
	"deep not":               "{{ " + strings.Repeat("not ", 100000) + "1 }}",
	"deep minus":             "{{ " + strings.Repeat("-", 400000) + "1 }}",
	"deep if":                strings.Repeat("{% if true %}", 20000) + strings.Repeat("{% endif %}", 20000),
	"deep for":               strings.Repeat("{% for a in b %}", 15000) + strings.Repeat("{% endfor %}", 15000),
	"deep macro":             strings.Repeat("{% macro f() %}", 15000) + strings.Repeat("{% endmacro %}", 15000),
	"deep targets":           "{% for " + strings.Repeat("(", 200000) + "a" + strings.Repeat(")", 200000) + " in b %}{% endfor %}",
	"long sum":               "{{ 1" + strings.Repeat("+1", 200000) + " }}",
	"long filters":           "{{ 'a'" + strings.Repeat("|upper", 50000) + " }}",
	"long attributes":        "{{ a" + strings.Repeat(".a", 200000) + " }}",
	"long calls":             "{{ namespace" + strings.Repeat("()", 200000) + " }}",
	"long conditions":        "{{ 1" + strings.Repeat(" if 1 else 1", 30000) + " }}",
	"long or":                "{{ 0" + strings.Repeat(" or 0", 100000) + " }}",
	"long number":            "{{ " + strings.Repeat("9", 400000) + " }}",
	"long hexadecimal":       "{{ 0x" + strings.Repeat("f", 400000) + " }}",
	"long exponent":          "{{ 1e999999999 ** 9 - 'a' }}",
	"long source":            strings.Repeat("x", 10<<20),
	"int filter":             "{{ ('9' * 1000000)|int(none) + 1 }}",
	"attribute path":         "{{ [{}]|map(attribute='a.' * 1000000)|list }}",
	"sort by many":           "{{ [{}]|sort(attribute='a,' * 1000000) }}",
}

func manySets(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("{%set a" + strings.Repeat("b", i%3) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + "=1%}")
	}
	return b.String()
}

// TestHostile: every hostile template ends in an error of the template. Where a
// limit is missing it does not end at all, or takes the test down.
func TestHostile(t *testing.T) {
	for name, source := range hostile {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			text, err := renderSource(source, []byte(`{"messages": []}`))
			if err == nil {
				t.Fatalf("rendered %d bytes", len(text))
			}
			var e *Error
			if !errors.As(err, &e) || e.Bug {
				t.Fatalf("error is %T: %v", err, err)
			}
			if len(e.Msg) > 500 {
				t.Errorf("error of %d bytes", len(e.Msg))
			}
			t.Logf("after %v: %v", time.Since(start).Round(time.Millisecond), err)
		})
	}
}

// TestLimitsLeaveRoom: a conversation of many long messages is no attack.
func TestLimitsLeaveRoom(t *testing.T) {
	vars := NewDict()
	list := &List{}
	for range 5000 {
		list.Items = append(list.Items, NewDict("role", "user", "content", strings.Repeat("many words ", 1000)))
	}
	vars.Set("messages", list)
	tmpl, err := Parse(`{%- for m in messages %}{%- set content = m.content | trim %}{{- '<' + m.role + '>' + content + '\n' }}{%- if loop.last %}end{% endif %}{%- endfor %}`)
	if err != nil {
		t.Fatal(err)
	}
	text, err := tmpl.Render(vars, referenceTime, LimitsFor(Size(vars)))
	if err != nil || len(text) != 5000*(len("<user>\n")+11*1000-1)+len("end") {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
