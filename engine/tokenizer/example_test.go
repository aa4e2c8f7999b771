package tokenizer_test

import (
	"fmt"
	"log"

	"github.com/gollm/gollm/engine/tokenizer"
	"github.com/gollm/gollm/gguf"
)

func open() *tokenizer.Tokenizer {
	f, err := gguf.Open("../../testdata/stories260K.gguf")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close() // the tokenizer keeps nothing of the file
	t, err := tokenizer.New(f)
	if err != nil {
		log.Fatal(err)
	}
	return t
}

func ExampleTokenizer_Encode() {
	t := open()
	ids := t.Encode("Once upon a time", tokenizer.Options{AddSpecial: true})
	fmt.Println(ids)
	for _, id := range ids {
		fmt.Printf("%q\n", t.Piece(id))
	}
	fmt.Println(t.Decode(ids, tokenizer.DecodeOptions{}))
	// Output:
	// [1 403 407 261 378]
	// "<s>"
	// " Once"
	// " upon"
	// " a"
	// " time"
	// Once upon a time
}

// A stream gives out text as tokens come, in whole characters: this emoji is
// four tokens of a byte each.
func ExampleStream() {
	t := open()
	s := t.NewStream(tokenizer.DecodeOptions{})
	for _, id := range t.Encode("fun 😀!", tokenizer.Options{}) {
		fmt.Printf("%q ", s.Push(id))
	}
	fmt.Printf("%q\n", s.Flush())
	// Output:
	// " f" "un" " " "" "" "" "😀" "!" ""
}
