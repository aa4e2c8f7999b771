// Command gollm runs large language models stored as GGUF.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "info" {
		fmt.Fprintln(os.Stderr, "usage: gollm info [--json] FILE")
		os.Exit(2)
	}
	flags := flag.NewFlagSet("gollm info", flag.ExitOnError)
	asJSON := flags.Bool("json", false, "print everything, as JSON")
	flags.Parse(os.Args[2:])
	if flags.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: gollm info [--json] FILE")
		os.Exit(2)
	}
	if err := infoCommand(os.Stdout, flags.Arg(0), *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "gollm:", err)
		os.Exit(1)
	}
}
