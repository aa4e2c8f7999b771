package objc

import (
	"strings"
	"testing"
)

// The encodings are those of a real Objective-C runtime (libobjc2 and clang-19, x86-64) and of Apple's
// documentation.
func TestSameEncoding(t *testing.T) {
	for _, c := range []struct {
		m       Message
		runtime string
		same    bool
	}{
		{ComputeCommandEncoderDispatchThreadgroups, "v64@0:8{?=QQQ}16{?=QQQ}40", true},
		{ComputeCommandEncoderDispatchThreadgroups, "v40@0:8{?=QQQ}16Q32", false},
		{ComputeCommandEncoderSetBytes, "v40@0:8r^v16Q24Q32", true},
		{ComputeCommandEncoderSetBytes, "v40@0:8r^v16Q24", false},
		{ComputeCommandEncoderSetBuffers, "v48@0:8r^@16r^Q24{_NSRange=QQ}32", true},
		{ComputeCommandEncoderSetBuffers, "v48@0:8^r@16^rQ24{_NSRange=QQ}32", true},
		{DeviceSupportsFamily, "B24@0:8q16", true},
		{DeviceSupportsFamily, "c24@0:8q16", true},
		{DeviceSupportsFamily, "@24@0:8q16", false},
		{NSObjectRelease, "Vv16@0:8", true},
		{CommandBufferGPUStartTime, "d16@0:8", true},
		{CommandBufferGPUStartTime, "f16@0:8", false},
		{CommandBufferAddCompletedHandler, `v24@0:8@?<v@?@"<MTLCommandBuffer>">16`, true},
		{DeviceNewLibraryWithSource, `@"<MTLLibrary>"40@0:8@"NSString"16@"MTLCompileOptions"24^@32`, true},
		{BlitCommandEncoderFillBuffer, "v44@0:8@16{_NSRange=QQ}24C40", true},
		{BlitCommandEncoderFillBuffer, "v44@0:8@16{_NSRange=QQ}24Q40", false},
	} {
		if got := SameEncoding(c.m.Decl().Encoding(), c.runtime); got != c.same {
			t.Errorf("%s: declared %s, runtime %s: same is %t", c.m, c.m.Decl().Encoding(), c.runtime, got)
		}
	}
	for i := range Messages {
		d := Message(i).Decl()
		if got := strings.Join(SplitEncoding(d.Encoding()), ""); got != d.Encoding() {
			t.Errorf("%s: %s came back as %s", d, d.Encoding(), got)
		}
	}
}

func FuzzSplitEncoding(f *testing.F) {
	for _, s := range []string{"v64@0:8{?=QQQ}16", "@?<", "{", "^", "^^r", `@"`, "]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { SplitEncoding(s) })
}
