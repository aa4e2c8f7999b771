package doctor

import (
	"errors"
	"fmt"
)

// Memory is what a GPU shares with the CPU.
type Memory struct {
	Total      int64 `json:"total"`       // bytes of the machine; 0 where it is not known
	WorkingSet int64 `json:"working_set"` // bytes the GPU can use without a loss of speed
	// WiredLimit is iogpu.wired_limit_mb: how much macOS lets the GPU keep in memory. 0 is
	// the system's own choice; -1 says that there is no such setting here.
	WiredLimit int64 `json:"wired_limit_mb"`
}

// memory says how much the GPU may use.
func (e *examination) memory(g *GPU) (string, error) {
	l := g.Device.Limits()
	m := &Memory{WorkingSet: l.RecommendedWorkingSet, WiredLimit: -1}
	e.report.Memory = m
	if !g.Emulated {
		m.Total, m.WiredLimit = systemMemory()
	}
	if m.WorkingSet <= 0 || l.MaxBuffer <= 0 {
		return "", errors.New("the GPU says it may use no memory")
	}
	text := fmt.Sprintf("working set %.1f GB, buffers to %.1f GB", float64(m.WorkingSet)/1e9, float64(l.MaxBuffer)/1e9)
	if m.Total > 0 {
		text = fmt.Sprintf("%.1f GB, ", float64(m.Total)/1e9) + text
	}
	switch {
	case m.WiredLimit == 0:
		text += "; iogpu.wired_limit_mb is not set: macOS chooses"
	case m.WiredLimit > 0:
		text += fmt.Sprintf("; iogpu.wired_limit_mb is %d", m.WiredLimit)
	}
	return text, nil
}
