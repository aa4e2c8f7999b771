package emu

import (
	"strings"
	"testing"

	"github.com/gollm/gollm/metal/internal/objc"
)

func TestSelfCheck(t *testing.T) {
	for _, darwin := range []int{22, 25} {
		m := fake(t, Options{Darwin: darwin})
		findings, checked, unasked := m.Device().SelfCheck()
		if len(findings) != 0 {
			t.Errorf("Darwin %d: %q", darwin, findings)
		}
		if most := map[int]int{22: 20, 25: 0}[darwin]; len(unasked) > most || checked+len(unasked) != objc.Messages {
			t.Errorf("Darwin %d: %d of %d messages checked, not asked: %q", darwin, checked, objc.Messages, unasked)
		}
	}
}

// A system whose methods are of other types is found out.
func TestSelfCheckFindsWrongTypes(t *testing.T) {
	m := fake(t, Options{})
	right := m.rt.TypeEncoding
	m.rt.TypeEncoding = func(id, sel uintptr) string {
		switch selectorName(sel) {
		case "setBytes:length:atIndex:":
			return "v32@0:8r^v16Q24"
		case "maxBufferLength":
			return ""
		}
		return right(id, sel)
	}
	findings, _, _ := m.Device().SelfCheck()
	if len(findings) != 2 || !strings.Contains(findings[0], "maxBufferLength]: not answered") ||
		!strings.Contains(findings[1], "setBytes:length:atIndex:]: the system has v32@0:8r^v16Q24") {
		t.Errorf("%q", findings)
	}
}
