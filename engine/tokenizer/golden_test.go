package tokenizer

import (
	"bufio"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The files in testdata hold texts and, for each vocabulary of small_test.go,
// their ids as llama.cpp gives them:
//
//	GOLLM_ORACLE=DIR go test ./engine/tokenizer -run AgainstOracle -update
//
// writes them anew after it has asked the oracle about every one.
var update = flag.Bool("update", false, "write testdata anew, from the oracle")

// golden is one file: lines `text "…"`, then for each vocabulary its name and the
// ids of each text, a line each.
type golden struct {
	texts []string
	ids   map[string][][]int32
}

func readGolden(t *testing.T, name string) golden {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	g := golden{ids: map[string][][]int32{}}
	var names []string
	for in := bufio.NewScanner(file); in.Scan(); {
		word, rest, _ := strings.Cut(in.Text(), " ")
		switch word {
		case "text":
			s, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatalf("%s: %v", in.Text(), err)
			}
			g.texts = append(g.texts, s)
		case "vocab":
			names = append(names[:0], strings.Split(rest, "; ")...)
		case "ids":
			ids, err := parseIDs(rest)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				g.ids[n] = append(g.ids[n], ids)
			}
		default:
			if word != "" && word != "#" {
				t.Fatalf("%s: line %q", name, in.Text())
			}
		}
	}
	return g
}

func (g golden) write(t *testing.T, name, comment string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", comment)
	for _, s := range g.texts {
		fmt.Fprintf(&b, "text %s\n", strconv.QuoteToASCII(s))
	}
	// Vocabularies that agree on everything share their ids.
	same := map[string][]string{}
	for _, n := range slices.Sorted(maps.Keys(g.ids)) {
		key := fmt.Sprint(g.ids[n])
		same[key] = append(same[key], n)
	}
	var groups [][]string
	for _, names := range same {
		groups = append(groups, names)
	}
	slices.SortFunc(groups, slices.Compare)
	for _, names := range groups {
		fmt.Fprintf(&b, "vocab %s\n", strings.Join(names, "; "))
		for _, ids := range g.ids[names[0]] {
			fmt.Fprintf(&b, "ids %s\n", strings.TrimSpace(formatIDs(ids)))
		}
	}
	if err := os.WriteFile(filepath.Join("testdata", name), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (g golden) check(t *testing.T, name string, tok *Tokenizer) {
	t.Helper()
	want := g.ids[name]
	if len(want) != len(g.texts) || len(want) == 0 {
		t.Fatalf("%d ids for %d texts", len(want), len(g.texts))
	}
	for i, text := range g.texts {
		if got := tok.Encode(text, Options{}); !slices.Equal(got, want[i]) {
			t.Errorf("%q:\n got %v\nwant %v", text, got, want[i])
		}
	}
}

func TestPreTokenizers(t *testing.T) {
	g := readGolden(t, "pre.txt")
	for pre := range preTokenizers {
		t.Run(pre, func(t *testing.T) { g.check(t, "pre "+pre, preVocab(pre).tokenizer(t)) })
	}
}

func TestSmallVocabs(t *testing.T) {
	g := readGolden(t, "small.txt")
	for name, v := range smallVocabs() {
		t.Run(name, func(t *testing.T) { g.check(t, name, v.tokenizer(t)) })
	}
	t.Run("stories260K", func(t *testing.T) { g.check(t, "stories260K", openVocab(t, stories)) })
}

const stories = "../../testdata/stories260K.gguf"

// fresh makes texts to record or to ask about.
func fresh(t *testing.T, n int, text func(*rand.Rand) string) []string {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var list []string
	for range n {
		list = append(list, text(r))
	}
	return list
}

func TestPreTokenizersAgainstOracle(t *testing.T) {
	dir := oracleDir(t)
	g := golden{texts: fresh(t, 60, preText), ids: map[string][][]int32{}}
	for pre := range preTokenizers {
		t.Run(pre, func(t *testing.T) {
			path := preVocab(pre).file(t)
			tok := openVocab(t, path)
			texts := append(slices.Clip(g.texts), fresh(t, 2000, preText)...)
			if pre != "" {
				texts = append(texts, fresh(t, 1000, func(r *rand.Rand) string { return randomText(r, 20, nil, false) })...)
			}
			compare(t, dir, path, tok, texts)
			for _, s := range g.texts {
				g.ids["pre "+pre] = append(g.ids["pre "+pre], tok.Encode(s, Options{}))
			}
		})
	}
	if *update && !t.Failed() {
		g.write(t, "pre.txt", "Recorded by TestPreTokenizersAgainstOracle with -update.")
	}
}

func TestSmallVocabsAgainstOracle(t *testing.T) {
	dir := oracleDir(t)
	g := golden{texts: fresh(t, 80, smallText), ids: map[string][][]int32{}}
	paths := map[string]string{"stories260K": stories}
	for name, v := range smallVocabs() {
		paths[name] = v.file(t)
	}
	for name, path := range paths {
		t.Run(name, func(t *testing.T) {
			tok := openVocab(t, path)
			compare(t, dir, path, tok, append(slices.Clip(g.texts), fresh(t, 3000, smallText)...))
			for _, s := range g.texts {
				g.ids[name] = append(g.ids[name], tok.Encode(s, Options{}))
			}
		})
	}
	if *update && !t.Failed() {
		g.write(t, "small.txt", "Recorded by TestSmallVocabsAgainstOracle with -update.")
	}
}
