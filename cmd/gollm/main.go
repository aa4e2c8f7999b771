// Command gollm runs large language models stored as GGUF files.
//
// What a command produces goes to standard output, what it has to say about it
// to standard error. The exit status is 0, 1 when something failed, 2 when the
// command line was wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"
)

func main() {
	os.Exit(gollm(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// gollm runs one command line and returns the exit status.
func gollm(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// The first interrupt ends the command in order; a second one, or one that
	// comes when nothing listens, ends the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	defer stop()

	err := rootCommand(stdin, stdout, stderr).Run(ctx, args)
	var usage usageError
	var exit cli.ExitCoder // of the library's own commands: help, completion
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled): // by a signal: nothing else cancels
		fmt.Fprintln(stderr, "gollm: interrupted")
		return 130
	case errors.As(err, &usage), errors.As(err, &exit):
		fmt.Fprintf(stderr, "gollm: %s\n", plainError(err))
		return 2
	}
	fmt.Fprintf(stderr, "gollm: %s\n", plainError(err))
	return 1
}

// rootCommand is the tree of commands. Each file of this package adds one.
func rootCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	root := &cli.Command{
		Name:                  "gollm",
		Usage:                 "run large language models stored as GGUF files",
		Version:               version(),
		Reader:                stdin,
		Writer:                stdout,
		ErrWriter:             stderr,
		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden = false
			c.Usage = "print a completion script for bash, zsh, fish or pwsh"
		},
		Suggest: true,
		Commands: []*cli.Command{
			runCommand(),
			benchCommand(),
			infoCommand(),
			planCommand(),
			doctorCommand(),
			perplexityCommand(),
			quantizeCommand(),
			logitsCommand(),
			tokenizeCommand(),
			versionCommand(),
		},
		// Errors are printed once, by gollm, and nothing here exits.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return unknownCommand(c, c.Args().First())
			}
			return cli.ShowRootCommandHelp(c)
		},
	}
	for _, c := range append(root.Commands, root) {
		c.OnUsageError = flagError
	}
	return root
}
