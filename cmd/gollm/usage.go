package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"
)

// usageError is an error of the command line: exit status 2.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// The library tells what is wrong with a flag in words only.
var (
	unknownFlag = regexp.MustCompile(`^flag provided but not defined: -(.*)$`)
	emptyFlag   = regexp.MustCompile(`^flag needs an argument: -*(.*)$`)
	badFlag     = regexp.MustCompile(`(?s)^invalid value (".*") for flag -(\S+): (.*)$`)
)

// flagError says in our words what the library found wrong with a flag.
func flagError(_ context.Context, c *cli.Command, err error, _ bool) error {
	hint := fmt.Sprintf("(%s --help lists the flags)", c.FullName())
	if m := unknownFlag.FindStringSubmatch(err.Error()); m != nil {
		if s := near(m[1], strings.TrimLeft(cli.SuggestFlag(c.Flags, m[1], false), "-")); s != "" {
			hint = fmt.Sprintf("(did you mean %s? %s --help lists the flags)", dashed(s), c.FullName())
		}
		return usagef("unknown flag %s %s", dashed(m[1]), hint)
	}
	if m := emptyFlag.FindStringSubmatch(err.Error()); m != nil {
		return usagef("%s needs a value %s", dashed(m[1]), hint)
	}
	if m := badFlag.FindStringSubmatch(err.Error()); m != nil {
		value, name, why := m[1], dashed(m[2]), m[3]
		switch {
		case strings.Contains(why, strconv.ErrRange.Error()):
			why = "is out of range"
		case strings.Contains(why, "ParseInt"):
			why = "is not a whole number"
		case strings.Contains(why, "ParseFloat"):
			why = "is not a number"
		case strings.Contains(why, "ParseBool"), why == "parse error":
			why = "is neither true nor false"
		}
		return usagef("%s: %s %s %s", name, value, why, hint)
	}
	return usagef("%w %s", err, hint)
}

// unknownCommand says that there is no such command.
func unknownCommand(c *cli.Command, name string) error {
	if s := near(name, cli.SuggestCommand(c.Commands, name)); s != "" {
		return usagef("no command %q; did you mean %q? (%s --help lists them)", name, s, c.FullName())
	}
	return usagef("no command %q (%s --help lists them)", name, c.FullName())
}

// near returns the suggestion if it can have been meant: the library suggests
// whatever is least unlike.
func near(given, suggestion string) string {
	if given == "" || len(suggestion) < 2 || given[0] != suggestion[0] {
		return ""
	}
	return suggestion
}

// dashed writes a flag's name as one types it.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// oneArgument returns the command's only argument.
func oneArgument(c *cli.Command) (string, error) {
	if c.Args().Len() != 1 {
		return "", usagef("%s takes one argument, %s; got %d", c.FullName(), c.ArgsUsage, c.Args().Len())
	}
	return c.Args().First(), nil
}

// noArguments refuses arguments, which are usually a flag's value gone astray.
func noArguments(c *cli.Command) error {
	if c.Args().Present() {
		return usagef("unexpected argument %q (%s --help lists the flags)", c.Args().First(), c.FullName())
	}
	return nil
}

// plainError is the text of an error without the name of the package it comes
// from, which tells a user nothing.
func plainError(err error) string {
	text := err.Error()
	for _, p := range []string{"engine: ", "bench: ", "gguf: ", "sample: ", "chat: ", "tokenizer: ", "quantize: "} {
		text = strings.TrimPrefix(text, p)
	}
	return text
}

var errNoModelNamed = usageError{errors.New("--model: no file named")}
