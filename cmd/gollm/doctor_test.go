package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gollm/gollm/cmd/gollm/internal/doctor"
	"github.com/gollm/gollm/metal"
	"github.com/urfave/cli/v3"
)

// TestDoctor examines this machine, whatever it is.
func TestDoctor(t *testing.T) {
	r := do("", "doctor", "--json")
	if r.status != 0 || r.stderr != "" {
		t.Fatalf("status %d, stderr %q, stdout:\n%s", r.status, r.stderr, r.stdout)
	}
	var report doctor.Report
	d := json.NewDecoder(strings.NewReader(r.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&report); err != nil {
		t.Fatal(err)
	}
	if report.Version == "" || report.Go == "" || report.System == "" || report.CPUs < 1 || report.Machine == "" || !slices.Contains([]string{"gpu", "emulator", "none"}, report.Metal) {
		t.Errorf("report %+v", report)
	}
	status := map[string]doctor.Status{}
	for _, c := range report.Checks {
		status[c.Name] = c.Status
		if c.Detail == "" || c.Seconds < 0 {
			t.Errorf("check %+v", c)
		}
	}
	if status["story on cpu"] != doctor.OK {
		t.Errorf("the CPU tells no story: %+v", report.Checks)
	}
	if (status["device"] == doctor.Skipped) != (report.Metal == "none") {
		t.Errorf("device %s, but Metal %q", status["device"], report.Metal)
	}
}

// examined runs doctor with options of a test's.
func examined(t *testing.T, o doctor.Options, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := &cli.Command{Name: "doctor", Writer: &out, Flags: doctorCommand().Flags,
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Action:         func(ctx context.Context, c *cli.Command) error { return examine(ctx, c, o) }}
	err := c.Run(t.Context(), append([]string{"doctor"}, args...))
	return out.String(), err
}

func TestDoctorSaysNoMetal(t *testing.T) {
	out, err := examined(t, doctor.Options{Open: func() (*doctor.GPU, error) { return nil, metal.ErrUnavailable }})
	if err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(out, "skipped  device ") || !strings.HasSuffix(out, "no Metal was checked\n") || strings.Count(out, "\n") != 2 {
		t.Errorf("%s", out)
	}
}

// TestDoctorFails: a device that does not open, one that tells the wrong story,
// and one that tells none, each with a line of its own.
func TestDoctorFails(t *testing.T) {
	o := doctor.Options{
		Open:    func() (*doctor.GPU, error) { return nil, errors.New("the GPU is on fire") },
		Devices: []string{"a", "b", "cpu"},
		Story:   beginning,
		Tell: func(ctx context.Context, device string) (string, error) {
			switch device {
			case "a":
				return "Once upon no time", nil
			case "b":
				return "", errors.New("lost for words")
			}
			return tell(ctx, device)
		},
	}
	for _, args := range [][]string{nil, {"--json"}} {
		out, err := examined(t, o, args...)
		if err == nil || err.Error() != "doctor: 3 of 4 checks failed" {
			t.Errorf("%v: error %v", args, err)
		}
		for _, want := range []string{"failed", "on fire", "no time", "lost for words", "ok"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v: %q is not in\n%s", args, want, out)
			}
		}
	}
}

func TestDoctorInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := doctor.Options{
		Open:    func() (*doctor.GPU, error) { return nil, metal.ErrUnavailable },
		Devices: []string{"a", "b"},
		Tell: func(ctx context.Context, _ string) (string, error) {
			cancel()
			return "", ctx.Err()
		},
		Done: func(doctor.Check) {},
	}
	r, err := doctor.Run(ctx, o)
	if !errors.Is(err, context.Canceled) || len(r.Checks) != 1 {
		t.Errorf("error %v, checks %+v", err, r.Checks)
	}
}
