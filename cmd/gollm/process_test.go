//go:build unix

package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// slowly is a generation that takes minutes.
func slowly(t *testing.T) *exec.Cmd {
	return command(t, "run", "-m", stories, "-p", once, "-n", "-1", "-c", "1000000", "--temp", "0", "--ignore-eos")
}

// TestInterrupt ends a generation with the signals that end programs: the text
// so far is kept, and the status says why.
func TestInterrupt(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		cmd := slowly(t)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		begun := make([]byte, len(story))
		if _, err := io.ReadFull(out, begun); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		if status := cmd.ProcessState.ExitCode(); status != 130 {
			t.Errorf("%v: status %d, want 130", sig, status)
		}
		if string(begun) != story || strings.Contains(string(rest), "gollm") {
			t.Errorf("%v: text %q … %q", sig, begun, rest)
		}
		if !timings.MatchString(errs.String()) || !strings.HasSuffix(errs.String(), "gollm: interrupted\n") {
			t.Errorf("%v: stderr %q", sig, errs.String())
		}
		result{stderr: errs.String()}.noTrace(t)
	}
}

// TestInterruptWhileReading ends a command whose standard input does not.
func TestInterruptWhileReading(t *testing.T) {
	cmd := command(t, "run", "-m", stories)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds, so that the command must have begun to read.
	if _, err := in.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 130 || errs.String() != "gollm: interrupted\n" {
		t.Errorf("status %d, stderr %q", status, errs.String())
	}
}

// TestBrokenPipe lets the reader of the text leave: the command ends as others
// do, with SIGPIPE, and says nothing.
func TestBrokenPipe(t *testing.T) {
	cmd := slowly(t)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if begun, err := bufio.NewReader(io.LimitReader(out, 10)).ReadString(0); err != io.EOF || begun != story[:10] {
		t.Errorf("%q, %v", begun, err)
	}
	out.Close()
	cmd.Wait()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGPIPE {
		t.Errorf("ended with %v", cmd.ProcessState)
	}
	if errs.Len() > 0 {
		t.Errorf("stderr %q", errs.String())
	}
}

// TestFullDisk writes the text to where nothing can be written.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("needs /dev/full, which only Linux has: %v", err)
	}
	defer full.Close()
	for _, args := range [][]string{{"run", "-m", stories, "-p", once, "-n", "9"}, {"run", "-m", stories, "-p", once, "--display-prompt"}, {"info", stories},
		{"version"}, {"logits", "-m", stories, "--ids", "1 2 3"}, {"bench", "-m", stories, "-p", "4", "-n", "0", "-r", "1"},
		{"bench", "-m", stories, "-p", "4", "-n", "0", "-r", "1", "-o", "json"}, {"bench", "-m", stories, "-p", "4", "-n", "0", "-r", "1", "-o", "csv"},
		{"tokenize", "-m", stories, "-p", once}, {"perplexity", "-m", stories, "-f", "../../testdata/tinystories_sample.txt", "-c", "64", "--chunks", "2"}} {
		cmd := command(t, args...)
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = full, &errs
		cmd.Run()
		last := errs.String()
		if status := cmd.ProcessState.ExitCode(); status != 1 || !strings.Contains(last, "no space left on device") {
			t.Errorf("%q: status %d, stderr %q", args, status, last)
		}
		result{stderr: last}.noTrace(t)
	}
}
