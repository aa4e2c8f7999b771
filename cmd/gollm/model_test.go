package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gollm/gollm/engine"
	"github.com/urfave/cli/v3"
)

// TestGPULayersFlag reads -ngl as the engine takes it.
func TestGPULayersFlag(t *testing.T) {
	for line, want := range map[string]int{"": 0, "-ngl 0": engine.NoLayers, "-ngl -1": engine.AllLayers, "--ngl 5": 5, "--gpu-layers 99": 99} {
		c := &cli.Command{
			Flags: []cli.Flag{layersFlag()},
			Action: func(_ context.Context, c *cli.Command) error {
				if got := gpuLayers(c); got != want {
					t.Errorf("%q: %d layers, want %d", line, got, want)
				}
				return nil
			},
		}
		if err := c.Run(context.Background(), append([]string{"gollm"}, strings.Fields(line)...)); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// TestSayPlacement says where a model runs, unless that is as one would think.
func TestSayPlacement(t *testing.T) {
	why := errors.New("no kernels")
	for _, c := range []struct {
		placement engine.Placement
		want      string
	}{
		{engine.Placement{Device: "cpu"}, ""},
		{engine.Placement{Device: "metal", GPU: "Apple M1", GPULayers: 31}, ""},
		{engine.Placement{Device: "cpu", Why: why}, "gollm: the model runs on the CPU: no kernels\n"},
		{engine.Placement{Device: "metal", GPU: "Apple M1", GPULayers: 30}, "gollm: all 30 layers and the output run on the GPU (Apple M1), the embedding on the CPU\n"},
		{engine.Placement{Device: "metal", GPU: "Apple M1", GPULayers: 5, Why: why}, "gollm: the last 5 of 30 layers and the output run on the GPU (Apple M1), the rest on the CPU: no kernels\n"},
		{engine.Placement{Device: "emu", GPU: "Apple M1", GPULayers: 1}, "gollm: the last of 30 layers and the output run on an emulated GPU (Apple M1), the rest on the CPU\n"},
	} {
		var s strings.Builder
		sayPlacement(&s, engine.Info{Layers: 30, Placement: c.placement})
		if s.String() != c.want {
			t.Errorf("%+v: %q, want %q", c.placement, s.String(), c.want)
		}
	}
}
