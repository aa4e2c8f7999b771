package objc

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
)

// System is the machine of this Mac. It is opened once.
func System() (*Runtime, error) { return system() }

var system = sync.OnceValues(openSystem)

func openSystem() (*Runtime, error) {
	if v, err := syscall.SysctlUint32("sysctl.proc_translated"); err == nil && v == 1 {
		return nil, errors.New("running under Rosetta: use the arm64 build")
	}
	lib := map[string]uintptr{}
	// Foundation and Metal before objc_getClass: a class of an image not yet loaded is nil.
	// CoreGraphics because MTLCreateSystemDefaultDevice of a command-line program needs it.
	for _, path := range []string{
		"/usr/lib/libobjc.A.dylib", "/usr/lib/libSystem.B.dylib",
		"/System/Library/Frameworks/Foundation.framework/Foundation",
		"/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics",
		"/System/Library/Frameworks/Metal.framework/Metal",
	} {
		h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", path, err)
		}
		lib[path[strings.LastIndexByte(path, '/')+1:]] = h
	}
	var failed error
	sym := func(library, name string) uintptr {
		p, err := purego.Dlsym(lib[library], name)
		if err != nil && failed == nil {
			failed = fmt.Errorf("symbol %s of %s: %w", name, library, err)
		}
		return p
	}
	rt := &Runtime{
		Call:     purego.SyscallN,
		Callback: purego.NewCallback,
		MsgSend:  sym("libobjc.A.dylib", "objc_msgSend"),
		PoolPush: sym("libobjc.A.dylib", "objc_autoreleasePoolPush"),
		PoolPop:  sym("libobjc.A.dylib", "objc_autoreleasePoolPop"),
		BlockISA: sym("libSystem.B.dylib", "_NSConcreteGlobalBlock"),
		Darwin:   darwinMajor(),
	}
	register, getClass := sym("libobjc.A.dylib", "sel_registerName"), sym("libobjc.A.dylib", "objc_getClass")
	create, all := sym("Metal", "MTLCreateSystemDefaultDevice"), sym("Metal", "MTLCopyAllDevices")
	if key := sym("Metal", "MTLCommandBufferEncoderInfoErrorKey"); key != 0 {
		rt.EncoderInfos = *(*uintptr)(At(key))
	}
	classOf, method := sym("libobjc.A.dylib", "object_getClass"), sym("libobjc.A.dylib", "class_getInstanceMethod")
	encoding := sym("libobjc.A.dylib", "method_getTypeEncoding")
	getProtocol, describe := sym("libobjc.A.dylib", "objc_getProtocol"), sym("libobjc.A.dylib", "protocol_getMethodDescription")
	sizeSend := rt.MsgSend
	if runtime.GOARCH == "amd64" {
		sizeSend = sym("libobjc.A.dylib", "objc_msgSend_stret")
	}
	if failed != nil {
		return nil, failed
	}
	purego.RegisterFunc(&rt.Float, rt.MsgSend)
	purego.RegisterFunc(&rt.SizeOf, sizeSend)
	named := func(fn uintptr) func(string) uintptr {
		return func(name string) uintptr {
			b := append([]byte(name), 0)
			r, _, _ := purego.SyscallN(fn, uintptr(unsafe.Pointer(&b[0])))
			runtime.KeepAlive(b)
			return r
		}
	}
	rt.Sel, rt.Class = named(register), named(getClass)
	rt.TypeEncoding = func(id, sel uintptr) string {
		class, _, _ := purego.SyscallN(classOf, id) // of a class object: its metaclass
		m, _, _ := purego.SyscallN(method, class, sel)
		if m == 0 {
			return ""
		}
		e, _, _ := purego.SyscallN(encoding, m)
		return ReadCString(e)
	}
	protocol := named(getProtocol)
	rt.ProtocolEncoding = func(name string, sel uintptr) string {
		p := protocol(name)
		if p == 0 {
			return ""
		}
		for _, required := range []uintptr{1, 0} {
			// A struct of a selector and a C string, in two registers.
			if _, types, _ := purego.SyscallN(describe, p, sel, required, 1); types != 0 {
				return ReadCString(types)
			}
		}
		return ""
	}
	rt.DefaultDevice = func() uintptr {
		if id, _, _ := purego.SyscallN(create); id != 0 {
			return id
		}
		// No default device (a session without a display): the first of all, if there is any.
		list, _, _ := purego.SyscallN(all)
		if list == 0 {
			return 0
		}
		c := rt.Get()
		defer rt.Put(c)
		defer c.Release(list)
		if c.Send(NSArrayCount, list) == 0 {
			return 0
		}
		return c.Send(NSObjectRetain, c.Send(NSArrayObjectAtIndex, list, 0))
	}
	// MTLResidencySet is of macOS 15.
	return rt, rt.Prepare("MTLResidencySetDescriptor")
}

// darwinMajor is the kernel's major version. The marketing version is not to be trusted: a binary
// stamped with an old SDK is told an old one.
func darwinMajor() int {
	s, err := syscall.Sysctl("kern.osrelease")
	if err != nil {
		return 0
	}
	major, _, _ := strings.Cut(s, ".")
	n, _ := strconv.Atoi(major)
	return n
}
